import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import { ByteWriter } from '../wire/bytes.js';
import { createCaller } from './caller.js';
import { count, list, nothing, struct, text } from '../wire/codec.js';
import { MemoryBus } from '../drivers/memory/memory-link.js';
import { numberBatch, writeBatchHeader } from '../wire/envelope.js';
import { LinkNode } from './link-node.js';
import type { Link, NodeRole, PeerChange, UnreachedGate } from '../link.js';
import { castOp, ownerOp, ownersOp, queryOp, sum } from '../wire/operation.js';
import type { Peer } from '../peer/peer.js';
import { PendingCall } from '../peer/pending.js';

const contract = {
  echo: ownerOp(1, struct({ clientId: text, word: text }), text),
  total: queryOp(2, struct({ by: count }), count, sum),
  poke: castOp(3, struct({ word: text }), count, sum),
  hang: queryOp(4, nothing, count, sum),
} as const;

describe('LinkNode', () => {
  let bus = new MemoryBus();
  let nodes: LinkNode[] = [];
  const defects: unknown[] = [];

  afterEach(async () => {
    for (const node of nodes) await node.close();
    nodes = [];
    bus = new MemoryBus();
    defects.length = 0;
  });

  async function start(id: string, role: NodeRole = 'gate', link: Link = bus.link(), epoch = 'e1'): Promise<LinkNode> {
    const node = new LinkNode({
      link,
      self: { id, role, epoch, modules: [], draining: false },
      onDefect: error => defects.push(error),
    });
    nodes.push(node);
    const pokes: string[] = [];
    node.dispatcher.serve(contract, {
      echo: ({ word }) => {
        if (word === 'coded') throw new GateError('FORBIDDEN', 'no', { why: 1 });
        if (word === 'defect') throw new Error('secret');
        return word === 'late' ? Promise.resolve(`${id}:${word}`) : `${id}:${word}`;
      },
      total: ({ by }) => by,
      poke: ({ word }) => pokes.push(word),
      hang: () => new Promise(() => undefined),
    });
    await node.open();
    return node;
  }

  it('calls the owner of a client, itself included', async () => {
    const g1 = await start('g1');
    await start('g2');
    const caller = createCaller(g1, contract);
    expect(await caller.echo.call({ clientId: 'g1.e1.1', word: 'a' })).toBe('g1:a');
    expect(await caller.echo.call({ clientId: 'g2.e1.1', word: 'late' })).toBe('g2:late');
  });

  it.each(['g2.e0.1', 'g9.e1.1', 'w1.e1.1', 'nonsense', ''])('finds no owner for %j', async clientId => {
    const g1 = await start('g1');
    await start('g2');
    await start('w1', 'worker');
    await expect(createCaller(g1, contract).echo.call({ clientId, word: 'a' })).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
    });
  });

  it('carries coded errors whole, and masks the others', async () => {
    const g1 = await start('g1');
    await start('g2');
    const caller = createCaller(g1, contract);
    await expect(caller.echo.call({ clientId: 'g2.e1.1', word: 'coded' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: 'no',
      details: { why: 1 },
    });
    await expect(caller.echo.call({ clientId: 'g2.e1.1', word: 'defect' })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'Internal server error',
    });
    expect(defects).toEqual([new Error('secret')]);
  });

  it.each(['g1', 'g2'])('carries an error whose details are too large or no JSON all the same, from %s', async to => {
    const g1 = await start('g1');
    const g2 = await start('g2');
    const of = to === 'g1' ? g1 : g2;
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    for (const details of ['x'.repeat(17_000_000), cyclic, { n: 1n }]) {
      of.dispatcher.serve(
        { echo: contract.echo },
        {
          echo: () => {
            throw new GateError('MINE', 'm'.repeat(100_000), details);
          },
        },
      );
      await expect(
        createCaller(g1, contract).echo.call({ clientId: `${to}.e1.1`, word: 'a' }, { deadlineMs: 10_000 }),
      ).rejects.toMatchObject({
        code: 'MINE',
        message: expect.stringMatching(/^m{2047}…$/),
        details: { truncated: true },
      });
    }
    expect([of.counters.truncated, defects]).toEqual([3, []]);
  });

  it('ends a request that cannot be sent after its caller is done, and never throws', async () => {
    const g1 = await start('g1');
    const g2 = await start('g2');
    g1.requests.limit = 1;
    const ask = (id: string) => {
      const pending = new PendingCall(contract.hang);
      (g1.peers.get(id) as Peer).request(contract.hang, undefined, pending, performance.now() + 60_000);
      return pending.promise;
    };
    const waits = ask('g2');
    for (const id of ['g1', 'g2']) await expect(ask(id)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(
      await createCaller(g1, contract)
        .total.gather({ by: 1 })
        .catch(({ code }: GateError) => code),
    ).toBe('LIMIT_EXCEEDED');
    await g2.close();
    await expect(waits).rejects.toMatchObject({ code: 'NODE_LOST' });
    expect(g1.waitingCount).toBe(0);
    expect(await createCaller(g1, contract).total.call({ by: 1 })).toBe(1);
  });

  it('merges the answers of all gates, and of no one else', async () => {
    const api = await start('a1', 'api');
    for (const id of ['g1', 'g2', 'g3']) await start(id);
    await start('w1', 'worker');
    expect(await createCaller(api, contract).total.call({ by: 2 })).toBe(6);
  });

  it('waits for the first gate, and joins the link for that', async () => {
    const api = new LinkNode({
      link: bus.link(),
      self: { id: 'a1', role: 'api', epoch: 'e', modules: [], draining: false },
    });
    nodes.push(api);
    const caller = createCaller(api, contract);
    const asked = [caller.total.call({ by: 2 }), caller.echo.call({ clientId: 'g1.e1.1', word: 'a' })];
    expect(api.isUp).toBe(false);
    await start('g1');
    expect(await Promise.all(asked)).toEqual([2, 'g1:a']);
    expect(api.isUp).toBe(true);
  });

  it('rejects calls once the time for the first gate is over, and pushes at once', async () => {
    const self = { id: 'a1', role: 'api', epoch: 'e', modules: [], draining: false } as const;
    const api = new LinkNode({ link: bus.link(), self, gateWait: 100 });
    nodes.push(api);
    const beganAt = performance.now();
    await api.open();
    expect(api.isUp).toBe(false);
    const caller = createCaller(api, contract);
    const unavailable = { code: 'LINK_UNAVAILABLE' };
    await expect(caller.poke.cast({ word: 'a' })).rejects.toMatchObject(unavailable);
    expect(api.counters.refused).toBe(1);
    const calls = () => [
      caller.total.call({ by: 2 }),
      caller.total.gather({ by: 2 }),
      caller.poke.call({ word: 'a' }),
      caller.echo.call({ clientId: 'g1.e1.1', word: 'a' }),
    ];
    for (const call of calls()) await expect(call).rejects.toMatchObject(unavailable);
    // A timer may fire up to a millisecond early.
    expect(performance.now() - beganAt).toBeGreaterThanOrEqual(99);
    const waits = jest.spyOn(globalThis, 'setTimeout');
    for (const call of calls()) await expect(call).rejects.toMatchObject(unavailable);
    expect(waits).not.toHaveBeenCalled();
    waits.mockRestore();
    await start('g1');
    expect(await caller.total.call({ by: 2 })).toBe(2);
  });

  it('says as its status whether a gate can work with what it is sent', async () => {
    const api = await start('a1', 'api');
    const told: boolean[] = [];
    api.onStatus(isUp => told.push(isUp));
    const gate = await start('g1');
    await start('w1', 'worker');
    await gate.close();
    expect(told).toEqual([true, false]);
    await expect(createCaller(api, contract).total.call({ by: 2 })).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' });
  });

  describe('with a configured list of gates', () => {
    let change: (change: PeerChange) => void;
    let setUnreached: (gates: UnreachedGate[]) => void;
    let api: LinkNode;

    async function startApi(): Promise<void> {
      const link = bus.link();
      const open = link.open.bind(link);
      link.open = (self, events) => {
        change = events.onPeer;
        setUnreached = gates => events.onUnreached?.(gates);
        return open(self, events);
      };
      api = await start('a1', 'api', link);
      await start('g1');
    }

    it('names those that were never reached, and counts pushes that miss them', async () => {
      await startApi();
      setUnreached([{ name: 'far:1', wasReached: false, reason: 'ECONNREFUSED' }]);
      const { total, poke, echo } = createCaller(api, contract);
      const partial = { code: 'PARTIAL_RESULT', details: { result: 2, missing: ['far:1'] } };
      await expect(total.call({ by: 2 })).rejects.toMatchObject(partial);
      expect(await total.gather({ by: 2 })).toEqual(partial.details);
      await poke.cast({ word: 'a' });
      expect(api.counters.refused).toBe(1);
      // It may be the one with this client, but not with one of an earlier boot of a gate that is here.
      await expect(echo.call({ clientId: 'g2.e.1', word: 'a' })).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' });
      await expect(echo.call({ clientId: 'g1.e0.1', word: 'a' })).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
      setUnreached([]);
      expect(await total.call({ by: 2 })).toBe(2);
      await poke.cast({ word: 'a' });
      expect(api.counters.refused).toBe(1);
    });

    it('counts pushes that miss one that was reached before, and takes its clients for gone', async () => {
      await startApi();
      const g2 = await start('g2');
      const { total, poke } = createCaller(api, contract);
      setUnreached([{ name: 'g2', wasReached: true, reason: 'ECONNREFUSED' }]);
      await g2.close();
      expect(await total.call({ by: 2 })).toBe(2);
      await poke.cast({ word: 'a' });
      expect(api.counters.refused).toBe(1);
      await new Promise(resolve => setImmediate(resolve));
      // Lost a moment ago, and out of reach: one gate.
      change({ type: 'lost', id: 'g1' });
      setUnreached([{ name: 'g1', wasReached: true, reason: undefined }]);
      await expect(poke.cast({ word: 'a' })).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' });
      expect(api.counters.refused).toBe(2);
    });
  });

  it('counts pushes to clients whose gate was lost, also when it is taken for dead, and to no others', async () => {
    const link = bus.link();
    let change: (change: PeerChange) => void = () => undefined;
    const open = link.open.bind(link);
    link.open = (self, events) => {
      change = events.onPeer;
      return open(self, events);
    };
    const api = await start('a1', 'api', link);
    await start('g1');
    const g2 = await start('g2');
    const { tell } = createCaller(api, { tell: ownersOp(9, struct({ clientIds: list(text) }), count, sum) });
    change({ type: 'lost', id: 'g2' });
    const [here, lost, gone] = ['g1.e1.1', 'g2.e1.1', 'g3.e1.1'] as [string, string, string];
    await tell.cast({ clientIds: [lost] });
    expect(api.counters.refused).toBe(1);
    const clock = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
    await tell.cast({ clientIds: [lost] });
    await tell.cast({ clientIds: [here, lost, lost, gone] });
    await tell.cast({ clientIds: [here] });
    await tell.cast({ clientIds: [gone] });
    clock.mockRestore();
    expect(api.counters.refused).toBe(4);
    change({ type: 'join', node: { ...g2.info, epoch: 'e2' } });
    await tell.cast({ clientIds: [lost] });
    expect(api.counters.refused).toBe(5);
    change({ type: 'lost', id: 'g2' });
    change({ type: 'join', node: g2.info });
    change({ type: 'leave', id: 'g2' });
    await tell.cast({ clientIds: [lost] });
    expect(api.counters.refused).toBe(5);
  });

  it('names the gates that did not answer', async () => {
    const api = await start('a1', 'api');
    await start('g1');
    await expect(createCaller(api, contract).hang.call(undefined, { deadlineMs: 50 })).rejects.toMatchObject({
      code: 'PARTIAL_RESULT',
      details: { result: 0, missing: ['g1'] },
    });
    expect(await createCaller(api, contract).hang.gather(undefined, { deadlineMs: 50 })).toEqual({
      result: 0,
      missing: ['g1'],
    });
  });

  it('ends what waits for a node that leaves, at once', async () => {
    const api = await start('a1', 'api');
    const gate = await start('g1');
    const asked = createCaller(api, contract).hang.gather(undefined, { deadlineMs: 60_000 });
    await gate.close();
    // It has left: no answer can be missing.
    expect(await asked).toEqual({ result: 0, missing: [] });
    expect(api.waitingCount).toBe(0);
  });

  it('takes a new boot of a node for another node', async () => {
    const api = await start('a1', 'api');
    const old = await start('g1');
    await old.close();
    await start('g1', 'gate', bus.link(), 'e2');
    await expect(createCaller(api, contract).echo.call({ clientId: 'g1.e1.1', word: 'a' })).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
    });
    expect(await createCaller(api, contract).echo.call({ clientId: 'g1.e2.1', word: 'a' })).toBe('g1:a');
  });

  it('sends all messages of one turn to one peer as one frame', async () => {
    const frames: number[] = [];
    const link = bus.link();
    const send = link.send.bind(link);
    link.send = (to, frame) => {
      frames.push(frame.length);
      return send(to, frame);
    };
    const g1 = await start('g1', 'gate', link);
    await start('g2');
    const caller = createCaller(g1, contract);
    const words = ['a', 'b', 'c'];
    expect(await Promise.all(words.map(word => caller.echo.call({ clientId: 'g2.e1.1', word })))).toEqual(
      words.map(word => `g2:${word}`),
    );
    expect(frames).toHaveLength(1);
  });

  it('answers an operation it does not know', async () => {
    const g1 = await start('g1');
    const node = new LinkNode({
      link: bus.link(),
      self: { id: 'g0', role: 'gate', epoch: 'e1', modules: [], draining: false },
    });
    nodes.push(node);
    await node.open();
    const foreign = { ...contract.total, id: 999 };
    const pending = new PendingCall<{ by: number }, number>(foreign);
    (g1.peers.get('g0') as Peer).request(foreign, { by: 1 }, pending, performance.now() + 1_000);
    await expect(pending.promise).rejects.toMatchObject({ code: 'UNKNOWN_OPERATION' });
  });

  it('fails what a driver refuses, and counts it', async () => {
    const link = bus.link();
    link.send = () => 'refused';
    const g1 = await start('g1', 'gate', link);
    await start('g2');
    await expect(createCaller(g1, contract).echo.call({ clientId: 'g2.e1.1', word: 'a' })).rejects.toMatchObject({
      code: 'LINK_UNAVAILABLE',
    });
    expect(g1.counters.refused).toBe(1);
  });

  it('ends of what waits only what was in a refused batch: what was sent before may still be answered', async () => {
    const link = bus.link();
    const g1 = await start('g1', 'gate', link);
    const g2 = await start('g2');
    let answer: (word: string) => void = () => undefined;
    g2.dispatcher.serve({ echo: contract.echo }, { echo: () => new Promise<string>(resolve => (answer = resolve)) });
    const caller = createCaller(g1, contract);
    const first = caller.echo.call({ clientId: 'g2.e1.1', word: 'a' });
    await new Promise(resolve => setImmediate(resolve));
    const send = link.send.bind(link);
    link.send = () => 'refused';
    await expect(caller.echo.call({ clientId: 'g2.e1.1', word: 'b' })).rejects.toMatchObject({
      code: 'LINK_UNAVAILABLE',
    });
    link.send = send;
    answer('in the end');
    expect(await first).toBe('in the end');
    expect(g1.waitingCount).toBe(0);
  });

  it('takes from itself arguments of any size, and no answer that would be too large on a link', async () => {
    const g1 = await start('g1');
    const large = 'x'.repeat(9 * 1024 * 1024);
    const { echo } = createCaller(g1, contract);
    let came = 0;
    g1.dispatcher.serve({ echo: contract.echo }, { echo: ({ word }) => ((came = word.length), 'short') });
    expect(await echo.call({ clientId: 'g1.e1.1', word: large })).toBe('short');
    expect(came).toBe(large.length);
    g1.dispatcher.serve({ echo: contract.echo }, { echo: () => large });
    await expect(echo.call({ clientId: 'g1.e1.1', word: '' })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('ends a request to itself whose consumer throws on the answer', async () => {
    const g1 = await start('g1');
    class Fragile extends PendingCall<unknown, string> {
      override succeed(): void {
        throw new Error('a defect of the consumer');
      }
    }
    const pending = new Fragile(contract.echo as never);
    g1.me.request(contract.echo, { clientId: 'g1.e1.1', word: 'a' }, pending, performance.now() + 60_000);
    await expect(pending.promise).rejects.toMatchObject({ code: 'LINK_CORRUPT' });
    expect(defects).toEqual([new Error('a defect of the consumer')]);
  });

  it('names a gate that was missing when the others were asked, also when it is back by then', async () => {
    const link = bus.link();
    let change: (change: PeerChange) => void = () => undefined;
    const open = link.open.bind(link);
    link.open = (self, events) => {
      change = events.onPeer;
      return open(self, events);
    };
    const g1 = await start('g1', 'gate', link);
    const g2 = await start('g2');
    const g3 = await start('g3');
    let answer: (count: number) => void = () => undefined;
    g2.dispatcher.serve({ total: contract.total }, { total: () => new Promise<number>(resolve => (answer = resolve)) });
    change({ type: 'lost', id: 'g3' });
    const asked = createCaller(g1, contract).total.gather({ by: 2 });
    await new Promise(resolve => setImmediate(resolve));
    await new Promise(resolve => setImmediate(resolve));
    change({ type: 'join', node: g3.info });
    answer(2);
    expect(await asked).toEqual({ result: 4, missing: ['g3'] });
  });

  it('ends what waits for others when the link is down: their answers may have been lost', async () => {
    const link = bus.link();
    let setStatus: (isUp: boolean) => void = () => undefined;
    const open = link.open.bind(link);
    link.open = (self, events) => {
      setStatus = events.onStatus;
      return open(self, events);
    };
    const g1 = await start('g1', 'gate', link);
    await start('g2');
    const hanging = Array.from(['g1', 'g2'], id => {
      const peer = g1.peers.get(id) as Peer;
      const pending = new PendingCall(contract.hang);
      peer.request(contract.hang, undefined, pending, performance.now() + 60_000);
      return pending.promise;
    });
    setStatus(false);
    await expect(hanging[1]).rejects.toMatchObject({ code: 'NODE_LOST' });
    expect(g1.waitingCount).toBe(1);
    hanging[0]?.catch(() => undefined);
  });

  it('counts batches that are missing, malformed or from nobody', async () => {
    const g1 = await start('g1');
    const raw = bus.link();
    await raw.open(
      { id: 'x', role: 'api', epoch: '1', modules: [], draining: false },
      {
        onFrame: () => undefined,
        onPeer: () => undefined,
        onDrain: () => undefined,
        onStatus: () => undefined,
      },
    );
    const batch = (sequence: number): Buffer => {
      const writer = new ByteWriter();
      writeBatchHeader(writer, 0);
      const frame = writer.take();
      numberBatch(frame, sequence);
      return frame;
    };
    for (const sequence of [1, 2, 5, 6]) raw.send('g1', batch(sequence));
    expect(g1.counters.gaps).toBe(2);
    for (const bytes of [[], [9], [2, 0, 0], [...batch(7), 255, 255, 255, 255], [...batch(8), 1, 0, 0, 0, 1]])
      raw.send('g1', Buffer.from(bytes));
    expect(g1.counters.corrupt).toBe(5);
    expect(g1.counters.gaps).toBe(2);
    expect(await createCaller(g1, contract).total.call({ by: 1 })).toBe(1);
    await raw.close({ drain: false });
  });

  it('tells listeners of its own changes and those of others', async () => {
    const g1 = await start('g1');
    const changes: PeerChange[] = [];
    const stop = g1.onPeer(change => changes.push(change));
    const w1 = await start('w1', 'worker');
    w1.announce({ modules: ['chat'] });
    g1.announce({ draining: true });
    await w1.close();
    stop();
    g1.announce({ draining: false });
    expect(changes.map(change => ('id' in change ? `-${change.id}` : `${change.type}:${change.node.id}`))).toEqual([
      'join:w1',
      'change:w1',
      'change:g1',
      '-w1',
    ]);
  });

  it('fails what still waits when it closes, and everything after', async () => {
    const api = await start('a1', 'api');
    await start('g1');
    const asked = createCaller(api, contract).hang.gather(undefined, { deadlineMs: 60_000 });
    await api.close();
    expect((await asked).missing).toEqual(['g1']);
    expect((await createCaller(api, contract).total.gather({ by: 1 })).missing).toEqual(['g1']);
  });
});
