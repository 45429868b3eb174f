import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { GatewayApi, GateError, OnTopic } from '@nestgate/worker';
import { BAD, callsOf } from './support/gateway-arguments-support.js';
import { GatewayCluster, type PushClient } from './support/gateway-cluster-support.js';
import { LinkWatch } from './support/gateway-traffic-support.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

/** Does bad things to the current client. */
@Controller()
class BadTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('bad/current')
  async current() {
    const { gateway } = this;
    const calls = [
      ...BAD.topic.map(bad => gateway.sendToCurrentClient(bad as never, 1)),
      ...BAD.body.map(bad => gateway.sendToCurrentClient('t/n', bad)),
      ...BAD.exclude.map(bad => gateway.sendToCurrentClient('t/n', 1, bad as never)),
      ...BAD.topic.map(bad => gateway.closeCurrentClient(bad as never, 1)),
      ...BAD.body.map(bad => gateway.closeCurrentClient('t/n', bad)),
    ];
    const outcomes = await Promise.allSettled(calls);
    return outcomes.map(outcome =>
      outcome.status === 'rejected' ? (outcome.reason as GateError).code : outcome.value,
    );
  }
}

describe.each(LINKS)('bad arguments over %s', (name: LinkName) => {
  const watch = new LinkWatch();
  let links: LinkSupply;
  let cluster: GatewayCluster;
  let client: PushClient;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
    cluster = await GatewayCluster.open(links, {
      handlers: { controllers: [BadTopics] },
      worker: { currentClient: true },
      wrap: (link, role) => (role === 'worker' ? watch.wrap(link) : link),
    });
    client = await cluster.connect(1);
    await cluster.api.bindUid(client.clientId, 'ada');
    await cluster.api.joinGroup(client.clientId, 'lobby');
    await cluster.api.setSession(client.clientId, { kept: 1 });
  });
  afterAll(async () => {
    await cluster.close();
    await links.close();
  });

  /** Nothing has been sent to any gate, and the client is as it was. */
  async function expectUntouched(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve));
    expect(watch.sent).toEqual([]);
    const { api } = cluster;
    const { clientId } = client;
    expect(await api.getSession(clientId)).toEqual({ kept: 1 });
    expect(await api.getAllGroupClientIdList()).toEqual({ lobby: [clientId] });
    expect(await api.getClientIdByUids(['ada', 'bob'])).toEqual({ ada: [clientId], bob: [] });
    await api.sendToAll('mark/mark', 'end');
    expect(await client.until('mark/mark', 'end')).toEqual([]);
    watch.clear();
  }

  it('reject with a code before anything is sent, whatever method they are of', async () => {
    watch.clear();
    for (const call of callsOf(cluster.api, client.clientId)) {
      for (const bad of BAD[call.kind]) {
        const outcome = await call.with(bad).then(
          value => ({ value }),
          (error: unknown) => error,
        );
        const isRight = outcome instanceof GateError && outcome.code === 'BAD_ARGUMENT';
        if (!isRight) throw new Error(`${call.name} with a bad ${call.kind}: ${shown(bad)}`, { cause: outcome });
      }
    }
    await expectUntouched();
  });

  it('reject in a handler too, and leave its client alone', async () => {
    const codes = await client.fake.request<unknown[]>('bad/current');
    watch.clear();
    expect(new Set(codes)).toEqual(new Set(['BAD_ARGUMENT']));
    client.rest();
    await expectUntouched();
  });

  it('of which one in many is bad change nothing for the others', async () => {
    const { api } = cluster;
    const { clientId } = client;
    watch.clear();
    const names = Array.from({ length: 40_000 }, (_, n) => `name ${n}`);
    const calls = [
      api.joinGroup([clientId], [...names, '']),
      api.joinGroup([clientId, 'x', 'y'], names),
      api.leaveGroup(clientId, ['lobby', '\ud800']),
      api.sendToGroup(['lobby', ...names, 5 as never], 't/n', 1),
      api.sendToUid(['ada', ...names, null as never], 't/n', 1, { confirm: true }),
      api.updateSession(clientId, { fine: 1, bad: 1n as never }),
      api.closeClient([clientId, 5 as never], 't/n', 'bye'),
      api.destroyClient([clientId, undefined as never]),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await expectUntouched();
  });

  it('that only the gate can refuse leave the session as it was', async () => {
    const { api } = cluster;
    const { clientId } = client;
    const large = 'x'.repeat(20_000);
    await expect(api.setSession(clientId, { large })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(api.updateSession(clientId, { a: 1, large })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    for (const gone of ['nobody', 'gate-1.abc.1', clientId.replace(/\.[^.]+$/, '.zzzz'), `${clientId}0`]) {
      await expect(api.bindUid(gone, 'bob')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
      await expect(api.joinGroup(gone, 'hall')).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
      await expect(api.updateSession(gone, { a: 1 })).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
      expect(await api.closeClient(gone, 't/n', 1)).toBe(false);
    }
    watch.clear();
    await expectUntouched();
  });
});

describe('what nobody waits for', () => {
  it('does not end the process when it fails', async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', UNAWAITED], {
      timeout: 15_000,
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/A push or change has failed: Not a topic[^]*\nalive\n$/);
  });
});

/** A process of its own, because a rejection that nobody handles ends it. */
const UNAWAITED = `
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { GatewayApi, GatewayApiModule } from '@nestgate/worker';

const app = await NestFactory.createApplicationContext(GatewayApiModule.forRoot({ link: 'memory:' }), { logger: ['warn'] });
const api = app.get(GatewayApi);
const change = () => {
  for (const confirm of [false, true]) {
    api.sendToClient('x', 'a b', 1, { confirm });
    api.sendToClient(['x'], 't/n', 1n, { confirm });
    api.sendToCurrentClient('t/n', 1, { confirm });
    api.sendToAll('t/n', () => 1, undefined, undefined, { confirm });
    api.sendToUid('', 't/n', 1, { confirm });
    api.sendToGroup([5], 't/n', 1, undefined, { confirm });
    api.sendToAll('t/n', 1, undefined, undefined, { confirm });
    api.sendToUid('ada', 't/n', 1, { confirm });
  }
  api.bindUid('x', 'ada');
  api.unbindUid('x', '');
  api.joinGroup('x', 'lobby');
  api.leaveGroup('x', 5);
  api.ungroup('');
  api.setSession('x', null);
  api.updateSession('x', {});
  api.closeClient('x', 'a b');
  api.closeCurrentClient();
  api.destroyClient(5);
  api.destroyCurrentClient();
};
change();
await new Promise(resolve => setTimeout(resolve, 20));
await app.close();
change();
await new Promise(resolve => setTimeout(resolve, 20));
console.log('alive');
`;

function shown(value: unknown): string {
  if (typeof value === 'symbol' || typeof value === 'bigint') return String(value);
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 100);
  } catch {
    return 'a value that JSON cannot carry';
  }
}
