import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Delegater } from '@nestgate/gate';
import { LinkNode, type SessionSnapshot, type Settings } from '@nestgate/link';
import { createCaller, sessionContract } from '@nestgate/link/internal';
import type { FakeClient } from '@nestgate/testing';
import { encodeMessage } from '@nestgate/worker/internal';
import { outcomes, Stage } from '../support/gate-support.js';

/** The RPCs of a gate, as its own app calls them. */
type Rpcs = {
  [K in 'load' | 'bind' | 'unbind' | 'push' | 'set' | 'del' | 'send' | 'broadcast' | 'connected' | 'close']: (
    ...args: Parameters<Delegater[K]>
  ) => Promise<unknown>;
};

/** The same over the link, as other nodes call them. */
function overLink(node: LinkNode): Rpcs {
  const gate = createCaller(node, sessionContract);
  return {
    load: clientId => gate.load.call({ clientId }),
    bind: (clientId, userId) => gate.bind.call({ clientId, userId }),
    unbind: (clientId, userId) => gate.unbind.call({ clientId, userId }),
    push: (clientId, settings) => gate.push.call({ clientId, settings: settings as Settings }),
    set: (clientId, key, value) => gate.set.call({ clientId, key, value }),
    del: (clientId, key) => gate.del.call({ clientId, key }),
    send: async (clientId, topic, body) => {
      // A list of clients: one that is not there is skipped, and the caller asks why nobody got it, as `toSend` does.
      const sent = await gate.send.call({ clientIds: [clientId], ...encodeMessage(topic, body) });
      return sent > 0 || (await gate.load.call({ clientId })) === undefined;
    },
    broadcast: (topic, body) => gate.broadcast.call(encodeMessage(topic, body)),
    connected: clientId =>
      gate.connected.call({ clientId }).catch((error: { code: string }) => error.code !== 'SESSION_NOT_FOUND'),
    close: clientId => gate.close.call({ clientId }),
  };
}

const CALLERS: readonly [where: string, workers: number, rpcs: (stage: Stage) => Rpcs][] = [
  ['by its methods, in the gate app', 0, stage => stage.delegater],
  ['over the link, in the gate app', 0, stage => overLink(stage.cluster.gate.app.get(LinkNode))],
  ['from a worker', 1, stage => overLink(stage.cluster.workers[0]?.app.get(LinkNode) as LinkNode)],
];

describe.each(CALLERS)('Delegater, called %s', (_where, workers, rpcsOf) => {
  let stage: Stage;
  let rpcs: Rpcs;
  let client: FakeClient;
  let id: string;

  beforeAll(async () => {
    stage = await Stage.open(workers, { maxSettingsBytes: 1_000 });
    rpcs = rpcsOf(stage);
  });
  afterAll(() => stage.close());
  beforeEach(async () => {
    client = await stage.cluster.connect();
    id = client.clientId;
  });
  afterEach(() => stage.lose(client));

  const plain = async (answer: Promise<unknown>): Promise<SessionSnapshot> =>
    JSON.parse(JSON.stringify(await answer)) as SessionSnapshot;

  it('load: the session as it is', async () => {
    expect(await plain(rpcs.load(id))).toMatchObject({ sessionId: id, ip: '127.0.0.1', userId: '', settings: {} });
  });

  it('bind and unbind: the uid, its index, and what the answer says', async () => {
    expect(await plain(rpcs.bind(id, 'ada'))).toMatchObject({ userId: 'ada' });
    expect(await stage.cluster.api.getClientIdByUid('ada')).toEqual([id]);
    expect(await plain(rpcs.unbind(id, 'another'))).toMatchObject({ userId: 'ada' });
    expect(await plain(rpcs.unbind(id))).toMatchObject({ userId: '' });
    expect(await stage.cluster.api.isUidOnline('ada')).toBe(false);
  });

  it('push, set and del: settings, key by key', async () => {
    await rpcs.push(id, { a: 1, b: { c: [true] } });
    await rpcs.set(id, '__proto__', 'free text');
    expect((await plain(rpcs.set(id, 'a', null))).settings['a']).toBeNull();
    const { settings } = await plain(rpcs.del(id, 'b'));
    expect(Object.entries(settings)).toEqual([
      ['a', null],
      ['__proto__', 'free text'],
    ]);
    expect((await stage.sessionInHandler(client)).cloneSettings()).toEqual(settings);
  });

  it('set and bind: what cannot be kept is refused, and changes nothing', async () => {
    const attempts = [
      rpcs.set(id, '', 1),
      rpcs.set(id, 'k'.repeat(129), 1),
      rpcs.bind(id, ''),
      rpcs.bind(id, 'a\u0000'),
    ];
    expect(await outcomes(attempts)).toEqual(attempts.map(() => 'BAD_ARGUMENT'));
    expect(await outcomes([rpcs.set(id, 'big', 'x'.repeat(1_000))])).toEqual(['LIMIT_EXCEEDED']);
    expect(await plain(rpcs.load(id))).toMatchObject({ userId: '', settings: {}, version: 1 });
  });

  it('send and broadcast: to one client, to all of this gate', async () => {
    const other = await stage.cluster.connect();
    expect(await rpcs.send(id, 'a/one', { n: 1 })).toBe(true);
    expect(await rpcs.broadcast('a/all', 'x')).toBe(2);
    for (const each of [client, other]) expect((await each.push('a/all')).body).toBe('x');
    expect([client, other].map(each => each.pushes('a/one').length)).toEqual([1, 0]);
    await stage.lose(other);
  });

  it('connected and close: true, then gone', async () => {
    expect(await rpcs.connected(id)).toBe(true);
    expect(await rpcs.close(id)).toBe(true);
    expect(await rpcs.connected(id)).toBe(false);
    expect(await client.closed).toEqual({ code: 4002, reason: 'closed by the application' });
  });

  it('each rejects with SESSION_NOT_FOUND for a client that is not there; connected is false', async () => {
    await stage.lose(client);
    for (const gone of [id, `${id}0`, 'nobody', '']) {
      const attempts = [
        rpcs.load(gone),
        rpcs.bind(gone, 'u'),
        rpcs.unbind(gone),
        rpcs.push(gone, { a: 1 }),
        rpcs.set(gone, 'a', 1),
        rpcs.del(gone, 'a'),
        rpcs.send(gone, 'a/b', 1),
        rpcs.close(gone),
      ];
      expect(await outcomes(attempts)).toEqual(attempts.map(() => 'SESSION_NOT_FOUND'));
      expect(await rpcs.connected(gone)).toBe(false);
    }
    expect(await rpcs.broadcast('a/b', 1)).toBe(0);
  });
});

describe('Delegater', () => {
  let stage: Stage;

  beforeEach(async () => {
    stage = await Stage.open(0);
  });
  afterEach(() => stage.close());

  it('getAgent, getAgentNum and sessions(): the clients of this gate', async () => {
    const { delegater } = stage;
    expect([delegater.getAgentNum(), ...delegater.sessions()]).toEqual([0]);
    const clients = [await stage.cluster.connect(), await stage.cluster.connect()];
    const ids = clients.map(client => client.clientId);
    expect(delegater.getAgentNum()).toBe(2);
    expect(Array.from(delegater.sessions(), agent => agent.session.sessionId)).toEqual(ids);
    expect(delegater.getAgent(ids[1] as string).session.sessionId).toBe(ids[1]);
    await stage.lose(clients[0] as FakeClient);
    expect(() => delegater.getAgent(ids[0] as string)).toThrow(expect.objectContaining({ code: 'SESSION_NOT_FOUND' }));
    expect(delegater.getAgentNum()).toBe(1);
  });

  it('onDestroy: closes every client with 1012', async () => {
    const clients = [await stage.cluster.connect(), await stage.cluster.connect()];
    stage.delegater.onDestroy();
    expect((await Promise.all(clients.map(client => client.closed))).map(end => end.code)).toEqual([1012, 1012]);
    expect(stage.delegater.getAgentNum()).toBe(0);
  });

  it('takes from its own app only what could come over a link, as a copy', async () => {
    const { clientId } = await stage.cluster.connect();
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const bad = [1n, () => 1, undefined, Symbol('s'), cycle, Buffer.from('x')] as unknown as string[];
    for (const value of bad) {
      expect(await outcomes([stage.delegater.set(clientId, 'k', value)])).toEqual(['BAD_ARGUMENT']);
    }
    expect(await outcomes([stage.delegater.send(clientId, 'not a topic'), stage.delegater.broadcast('')])).toEqual([
      'BAD_ARGUMENT',
      'BAD_ARGUMENT',
    ]);
    const list = [1];
    await stage.delegater.push(clientId, { list });
    list.push(2);
    expect((await stage.delegater.load(clientId)).get('list')).toEqual([1]);
  });

  it('tells the worker of a change that its own app makes before the client’s next frame', async () => {
    const client = await stage.cluster.connect();
    const before = await stage.sessionInHandler(client);
    await stage.delegater.set(client.clientId, 'a', 1);
    expect(before.get('a')).toBeUndefined();
    expect((await stage.sessionInHandler(client)).get('a')).toBe(1);
  });
});
