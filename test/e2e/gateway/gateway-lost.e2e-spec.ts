import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LinkNode } from '@nestgate/link';
import { type FakeClient, freePort, NatsProcess, waitUntil } from '@nestgate/testing';
import { GatewayApi, GatewayApiModule } from '@nestgate/worker';
import { AppProcess } from '../support/app-process.js';

const SECRET = 'shared';
/** A gate that is killed is dead, and its clients gone, after this time at most, in milliseconds. */
const DEAD_MS = 10_000;
/** What a lost gate is waited for at least: it may be out of reach only. In milliseconds. */
const GRACE_MS = 1_500;

describe.each(['tcp', 'nats'])('a gate that goes, over %s', name => {
  let nats: NatsProcess | undefined;
  let service: INestApplicationContext;
  let api: GatewayApi;
  let gates: AppProcess[] = [];
  let clients: FakeClient[];

  beforeAll(async () => {
    if (name === 'nats') nats = await NatsProcess.start();
  });
  afterAll(() => nats?.end());
  afterEach(async () => {
    await Promise.all(gates.map(gate => gate.end()));
    gates = [];
    await service.close();
  });

  /** Two gates in processes of their own with a client each, and a service here that asks. */
  async function start(): Promise<[near: FakeClient, far: FakeClient]> {
    const ports = [await freePort(), await freePort()];
    const addresses = ports.map(port => `127.0.0.1:${port}`);
    for (const [index, address] of addresses.entries()) {
      const env = { NESTGATE_LINK: nats?.url ?? `tcp://${address}`, NESTGATE_SECRET: SECRET };
      gates.push(await AppProcess.start({ ...env, NESTGATE_ID: `gate-${index}` }, 'gate'));
    }
    const link = nats?.url ?? `tcp://${addresses.join(',')}`;
    const imports = [GatewayApiModule.forRoot({ link, secret: SECRET })];
    service = await (await Test.createTestingModule({ imports }).compile()).init();
    api = service.get(GatewayApi);
    const { peers } = service.get(LinkNode);
    await waitUntil('both gates', () => peers.has('gate-0') && peers.has('gate-1'), DEAD_MS);
    clients = await Promise.all(gates.map(gate => gate.connect()));
    expect(await api.getAllClientCount()).toBe(2);
    return clients as [FakeClient, FakeClient];
  }

  it('without a leave message is missing from answers until it counts as dead', async () => {
    const [near, far] = await start();
    gates[1]?.signal('SIGKILL');
    await gates[1]?.exited;
    const lostAt = Date.now();
    const partial = { code: 'PARTIAL_RESULT', details: { result: 1, missing: ['gate-1'] } };
    // All at once, so that they are asked within its two seconds however slow this machine is.
    await Promise.all([
      expect(api.getAllClientCount({ deadlineMs: 1_000 })).rejects.toMatchObject(partial),
      expect(api.getAllClientCount({ partial: 'allow', deadlineMs: 1_000 })).resolves.toEqual(partial.details),
      expect(api.isOnline(far.clientId, { deadlineMs: 500 })).rejects.toMatchObject({
        code: expect.stringMatching(/^(LINK_UNAVAILABLE|TIMEOUT)$/),
      }),
    ]);
    expect(await api.isOnline(near.clientId)).toBe(true);
    const whole = () => api.getAllClientCount({ deadlineMs: 500 }).catch(() => undefined);
    expect(await waitUntil('a whole answer', whole, DEAD_MS)).toBe(1);
    expect(Date.now() - lostAt).toBeGreaterThanOrEqual(GRACE_MS);
    expect(await api.isOnline(far.clientId)).toBe(false);
    expect(await api.getSession(far.clientId)).toBeNull();
    expect(await api.sendToClient(far.clientId, 'chat/said', 1, { confirm: true })).toBe(false);
  });

  it('with a leave message is missing from no answer', async () => {
    const [near, far] = await start();
    const counts = new Set<number>();
    const over = new AbortController();
    const asking = (async () => {
      while (!over.signal.aborted) counts.add(await api.getAllClientCount());
    })();
    gates[1]?.signal('SIGTERM');
    expect(await gates[1]?.exited).toEqual({ code: 0, signal: null });
    expect(await far.closed).toMatchObject({ code: 1012 });
    await waitUntil('the last client to be the only one', async () => (await api.getAllClientCount()) === 1);
    over.abort();
    await asking;
    expect([...counts].filter(count => count !== 1 && count !== 2)).toEqual([]);
    expect(await api.isOnline(far.clientId)).toBe(false);
    expect(await api.getAllClientIdList()).toEqual([near.clientId]);
  });

  it('nowhere, but hangs, is missing until it goes on', async () => {
    const [, far] = await start();
    gates[1]?.signal('SIGSTOP');
    const allow = { partial: 'allow', deadlineMs: 300 } as const;
    expect(await api.getAllClientCount(allow)).toEqual({ result: 1, missing: ['gate-1'] });
    // Longer than it takes to give a silent gate up.
    await waitUntil('the gate to be lost', () => !service.get(LinkNode).peers.has('gate-1'), DEAD_MS);
    expect(await api.getAllClientCount(allow)).toEqual({ result: 1, missing: ['gate-1'] });
    gates[1]?.signal('SIGCONT');
    await waitUntil('the gate to be back', () => service.get(LinkNode).peers.has('gate-1'), DEAD_MS);
    expect(await api.getAllClientCount()).toBe(2);
    expect(await api.sendToClient(far.clientId, 'chat/said', 'back', { confirm: true })).toBe(true);
    expect((await far.push('chat/said')).body).toBe('back');
  });
});
