import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { ForbiddenException, Logger } from '@nestjs/common';
import { Gate, GateCounters, SendMessageHook } from '@nestgate/gate';
import { GateError } from '@nestgate/protocol';
import { type FakeClient, type TestClusterOptions, waitUntil } from '@nestgate/testing';
import type { Session } from '@nestgate/worker';
import { CountingLines, LineClient } from './support/gate-lines-support.js';
import { Stage, turns } from '../support/gate-support.js';

/** A `SendMessageHook` that does what a test wants. */
class ScriptedHook extends SendMessageHook {
  readonly seen: unknown[] = [];
  script: (session: Session, topic: string, body: never) => unknown = (_session, _topic, body) => body;

  override onSend(session: Session, topic: string, body: unknown): unknown {
    this.seen.push([session.userId, topic, body]);
    return this.script(session, topic, body as never);
  }
}

let stage: Stage;
let hook: ScriptedHook;

async function open(workers: number, gate: TestClusterOptions['gate'] = {}): Promise<void> {
  hook = new ScriptedHook();
  stage = await Stage.open(workers, { providers: [{ provide: SendMessageHook, useValue: hook }], ...gate });
}

/** Clients that are bound to these uids. */
async function users(...uids: string[]): Promise<FakeClient[]> {
  const clients: FakeClient[] = [];
  for (const uid of uids) {
    const client = await stage.cluster.connect();
    await stage.delegater.bind(client.clientId, uid);
    clients.push(client);
  }
  return clients;
}

const dropped = (): number => stage.cluster.gate.app.get(GateCounters).get('packs_dropped', 'hook');

afterEach(async () => {
  jest.restoreAllMocks();
  await stage.close();
});

describe.each([0, 1])('SendMessageHook, with %d workers', workers => {
  /** The `GatewayApi` of where handlers are. */
  const api = () => (stage.cluster.workers[0] ?? stage.cluster.gate).api;

  it('onSend sees every push once per recipient, on every path, and no reply', async () => {
    await open(workers);
    const [ada, bob] = (await users('ada', 'bob')) as [FakeClient, FakeClient];
    await api().joinGroup(bob.clientId, 'room');
    await api().sendToAll('a/all', 1);
    await api().sendToUid('ada', 'a/uid', 2);
    await api().sendToGroup('room', 'a/group', 3);
    await api().sendToClient(bob.clientId, 'a/client', 4);
    await stage.delegater.send(ada.clientId, 'a/rpc', 5);
    expect(await ada.request('script/note', 6)).toBe(6);
    await api().closeClient(bob.clientId, 'a/bye', 7);
    await bob.closed;
    expect(hook.seen).toEqual(
      expect.arrayContaining([
        ['ada', 'a/all', 1],
        ['bob', 'a/all', 1],
        ['ada', 'a/uid', 2],
        ['bob', 'a/group', 3],
        ['bob', 'a/client', 4],
        ['ada', 'a/rpc', 5],
        ['bob', 'a/bye', 7],
      ]),
    );
    expect(hook.seen.length).toBe(7);
    expect(bob.pushes('a/bye').length).toBe(1);
  });

  it('what it returns is sent, to each recipient its own', async () => {
    await open(workers);
    const clients = await users('ada', 'bob');
    hook.script = async ({ userId }, _topic, body: object) => ({ ...body, to: userId });
    await api().sendToAll('a/b', { n: 1 });
    for (const [index, to] of ['ada', 'bob'].entries()) {
      expect((await clients[index]?.push('a/b'))?.body).toEqual({ n: 1, to });
    }
  });

  it.each([
    ['at once', (error: Error) => fail(error)],
    ['later', (error: Error) => failLater(error)],
  ])('throwing %s refuses the push for that recipient only', async (_when, refuse) => {
    const logged = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await open(workers);
    const clients = await users('ada', 'bob', 'eve');
    const errors = [new GateError('FORBIDDEN'), new ForbiddenException(), new Error('a bug')];
    for (const [index, error] of errors.entries()) {
      hook.script = ({ userId }, _topic, body) => (userId === 'bob' ? refuse(error) : body);
      await api().sendToAll(`a/${index}`, 1);
      for (const at of [0, 2]) await clients[at]?.push(`a/${index}`);
      await waitUntil('the refusal to be counted', () => dropped() === index + 1);
    }
    hook.script = (_session, _topic, body) => body;
    await api().sendToAll('a/end', 1);
    await clients[1]?.push('a/end');
    expect(clients[1]?.frames.map(frame => frame.topic)).toEqual(['$gate/hello', 'a/end']);
    expect(logged.mock.calls.map(([line]) => line as unknown)).toEqual(['Error: a bug']);
  });

  it('what it writes into the body reaches nobody else', async () => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await open(workers);
    const [ada, bob] = (await users('ada', 'bob')) as [FakeClient, FakeClient];
    hook.script = ({ userId }, _topic, body: { list: string[] } | Buffer) => {
      if (Buffer.isBuffer(body)) body.write(userId);
      else if (userId === 'ada') body.list.push('of ada');
      return body;
    };
    await api().sendToAll('a/bytes', Buffer.from('....'));
    await api().sendToAll('a/json', { list: [] });
    expect((await bob.push('a/json')).body).toEqual({ list: [] });
    expect(Buffer.from((await ada.push('a/bytes')).body as string, 'base64').toString()).toBe('ada.');
    expect(Buffer.from((await bob.push('a/bytes')).body as string, 'base64').toString()).toBe('bob.');
    // The body is frozen, so that the attempt is an error and not a leak.
    expect([ada.pushes('a/json').length, dropped()]).toEqual([0, 1]);
  });

  it('one that takes its time keeps the order of a client’s messages, replies included', async () => {
    await open(workers);
    const [ada, bob] = (await users('ada', 'bob')) as [FakeClient, FakeClient];
    hook.script = (_session, topic, body) =>
      topic === 'a/slow' ? turns(20 - 3 * Number(body)).then(() => body) : body;
    stage.script.run = async session => {
      for (let n = 0; n < 3; n++) void session.toSend('a/slow', n);
      void session.toSend('a/quick', 3);
      await session.toSend('a/slow', 4);
      return 5;
    };
    expect(await ada.request('script/run')).toBe(5);
    expect(ada.frames.slice(1).map(frame => frame.body)).toEqual([0, 1, 2, 3, 4, 5]);
    await api().sendToAll('a/slow', 6);
    await bob.push('a/slow');
  });

  it('one that never ends holds up its client no longer than requestTimeout', async () => {
    const warned = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await open(workers, { requestTimeout: 150 });
    const [ada, bob] = (await users('ada', 'bob')) as [FakeClient, FakeClient];
    hook.script = ({ userId }, topic, body) =>
      userId === 'ada' && topic === 'a/1' ? new Promise(() => undefined) : body;
    await api().sendToAll('a/1', 1);
    await api().sendToAll('a/2', 2);
    await bob.push('a/2');
    await ada.push('a/2');
    expect([ada.pushes('a/1').length, bob.pushes('a/1').length, dropped()]).toEqual([0, 1, 1]);
    expect(String(warned.mock.calls[0])).toContain('SendMessageHook');
  });

  it.each([
    ['without one a broadcast is encoded once for all clients of a kind', false, 1],
    ['with one it is encoded for each', true, 4],
  ])('%s', async (_what, hooked, times) => {
    const lines = new CountingLines();
    const gate = { tcp: { port: 0, codec: 'lines' }, codecs: { lines } };
    await open(workers, hooked ? gate : { ...gate, providers: [] });
    hook.script = ({ sessionId }) => sessionId;
    const port = stage.cluster.gate.app.get(Gate).tcpPort as number;
    const clients = await Promise.all(Array.from({ length: 4 }, () => LineClient.connect(port)));
    const json = await stage.cluster.connect();
    expect(await api().sendToAll('a/b', 'x', undefined, undefined, { confirm: true })).toEqual({ delivered: 5 });
    const bodies = await Promise.all(clients.map(client => client.push('a/b')));
    expect(new Set(bodies).size).toBe(times);
    await json.push('a/b');
    expect(lines.wire.pushes).toBe(times);
    for (const client of clients) client.close();
  });
});

async function failLater(error: Error): Promise<never> {
  await turns(2);
  throw error;
}

function fail(error: Error): never {
  throw error;
}
