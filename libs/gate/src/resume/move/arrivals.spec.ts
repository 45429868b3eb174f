import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import {
  Defects,
  type MoveEnd,
  moveContract,
  type Peer,
  type Pending,
  type ResumeAnswer,
  type ResumeAsk,
  type TailItem,
} from '@nestgate/link/internal';
import { CLOSE, GateError } from '@nestgate/protocol';
import { GateCounters } from '../../gate-counters.js';
import { type ArrivalHost, Arrivals } from './arrivals.js';
import type { ResumableConnection } from '../resumable-connection.js';
import type { Turns, TurnSource } from './turns.js';

/** A node that answers when a test lets it. */
class FakePeer {
  readonly calls: Pending<ResumeAnswer>[] = [];
  readonly told: MoveEnd[] = [];

  constructor(
    id: string,
    role: 'gate' | 'worker' = 'gate',
    readonly info = { id, role, epoch: 'e' },
  ) {}

  request(operation: unknown, _ask: ResumeAsk, call: Pending<ResumeAnswer>): void {
    expect(operation).toBe(moveContract.resume);
    this.calls.push(call);
  }

  notify(operation: unknown, { end }: { end: MoveEnd }): void {
    expect(operation).toBe(moveContract.final);
    this.told.push(end);
  }

  get peer(): Peer {
    return this as unknown as Peer;
  }
}

const SESSION = { generation: 3, shown: 3, seen: 1, floor: 2, isRunning: false, workers: ['w1'] };
const answerOf = (parts: object = {}) => ({ session: { ...SESSION, ...parts } }) as unknown as ResumeAnswer;
const frame = (n: number): TailItem => Buffer.of(n);

describe('Arrivals', () => {
  let peers: Map<string, Peer>;
  let me: FakePeer;
  let from: FakePeer;
  let other: FakePeer;
  let worker: FakePeer;
  let counters: GateCounters;
  let log: string[];
  let sources: TurnSource[];
  let barriers: (() => void)[];
  let agent: { isClosed: boolean; sessionState: object };
  let groups: Set<string>;
  let fate: 'gone' | 'missing';
  let isKnownByAll: boolean;
  let known: { readonly peer: Peer } | undefined;
  let arrivals: Arrivals;
  const defects: unknown[] = [];
  const ask = { clientId: 'g1.e.1', ticket: 't', seen: 1, wire: 'json.2/ws', isHandOver: false };

  const flush = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  /** Takes the session of a test from `from`. */
  async function arrive(parts: object = {}): Promise<TurnSource> {
    const taken = arrivals.take(ask, undefined, () => true);
    from.calls[0]?.succeed(answerOf(parts));
    expect(await taken).toMatchObject({ transfer: { generation: 3 } });
    await flush();
    return sources[0] as TurnSource;
  }
  const turnAll = (source: TurnSource): void => {
    source.sent([...peers.values()]);
    for (const peer of peers.values()) source.turned(peer, true);
  };
  const end = (kind: MoveEnd, by = from): void => arrivals.onEnd(by.peer, ask.clientId, kind);
  const pushes = (doubts: string[] = [], names = ['room']): MoveEnd => ({
    kind: 'pushes',
    doubts,
    groups: names,
    streams: [7],
  });

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    counters = new GateCounters();
    [log, sources, barriers] = [[], [], []];
    [me, from, other] = [new FakePeer('me'), new FakePeer('g1'), new FakePeer('g3')];
    worker = new FakePeer('w1', 'worker');
    peers = new Map([me, from, other, worker].map(each => [each.info.id, each.peer]));
    groups = new Set(['room', 'left']);
    [fate, isKnownByAll, known] = ['gone', true, undefined];
    const closed = (code: number): void => {
      log.push(`closed ${code}`);
      agent.isClosed = true;
    };
    const fakeAgent = {
      isClosed: false,
      serial: 5,
      sessionState: { userId: 'u', origin: { sessionId: ask.clientId } },
      block: () => void log.push('blocked'),
      unblock: () => void log.push('unblocked'),
      close: closed,
      sendError: (id: number, { code }: { code: string }) => void log.push(`${code} ${id}`),
    };
    agent = fakeAgent;
    const queue = {
      takeForwarded: (items: readonly TailItem[], isLate: boolean) =>
        void log.push(`${isLate ? 'late' : 'tail'} ${items.map(item => String((item as Buffer)[0])).join(' ')}`),
      release: () => void log.push('released'),
      noteDoubt: (why: string) => void log.push(`doubt ${why}`),
    };
    const wire = { endedBy: (item: Uint8Array) => (item[0] as number) - 10 };
    const connection = { agent, queue, wire } as unknown as ResumableConnection;
    const node = {
      peers,
      me: me.peer,
      info: { id: 'me', epoch: 'e' },
      holders: { known: () => known, find: () => known },
      fateOf: () => fate,
      defects: new Defects(undefined),
      reportDefect: (error: unknown) => void defects.push(error),
    };
    const whenHeard = (): Promise<void> => Promise.resolve();
    const host = {
      node: node as unknown as LinkNode,
      hub: {
        uidInterest: { whenHeard },
        groupInterest: { whenHeard },
        groups: { namesOf: () => [...groups], remove: (name: string) => groups.delete(name) },
      },
      moving: {
        begin: () => void log.push('moving'),
        exclude: (peer: Peer) => void log.push(`exclude ${peer.info.id}`),
        admit: (peer: Peer) => void log.push(`admit ${peer.info.id}`),
        unhold: () => void log.push('unheld'),
        end: () => void log.push('moved'),
      },
      streams: {
        expect: () => () => void log.push('streams taken'),
        settle: (_agent: unknown, open: readonly number[], doubts: readonly string[]) =>
          void log.push(`streams ${open.join(' ')} ${doubts.join(' ')}`.trim()),
        breakComing: () => undefined,
      },
      counters,
      adopt: () => connection,
    };
    const turns = {
      get isKnownByAll() {
        return isKnownByAll;
      },
      add: (source: TurnSource) => void sources.push(source),
      barrier: () => new Promise<void>(resolve => barriers.push(resolve)),
    };
    arrivals = new Arrivals(host as unknown as ArrivalHost, turns as unknown as Turns);
  });
  afterEach(() => {
    arrivals.stop();
    expect([arrivals.size, jest.getTimerCount(), defects]).toEqual([0, 0, []]);
    jest.useRealTimers();
  });

  it('takes the session in the turn of the answer: its frames follow in the same batch', async () => {
    const taken = arrivals.take(ask, undefined, () => true);
    from.calls[0]?.succeed(answerOf());
    expect(arrivals.size).toBe(1);
    arrivals.onTail(from.peer, ask.clientId, false, [frame(2), frame(3)]);
    expect(log).toEqual(['moving', 'exclude me', 'exclude g1', 'exclude g3', 'exclude w1', 'tail 2 3']);
    await taken;
  });

  it('ends when the old gate is done and all nodes have turned, and not before', async () => {
    const source = await arrive();
    expect(source.turn).toEqual({ clientId: ask.clientId, serial: 5, generation: 4, from: 'g1' });
    log.length = 0;
    end(pushes());
    expect(log).toEqual(['streams 7', 'released', 'unheld']);
    // It was taken out of this group while it was on its way.
    expect([...groups]).toEqual(['room']);
    source.sent([from.peer, worker.peer]);
    source.turned(from.peer, true);
    expect(arrivals.size).toBe(1);
    source.turned(worker.peer, true);
    expect(log.slice(3)).toEqual(['streams taken', 'admit g1', 'admit w1', 'moved', 'released']);
    expect([arrivals.size, counters.get('moves_in_doubt', 'link')]).toEqual([0, 0]);
  });

  it('holds requests of the client until those at the old gate have ended', async () => {
    const source = await arrive({ isRunning: true });
    expect(log).toContain('blocked');
    turnAll(source);
    end(pushes());
    const arrived = arrivals.hasArrived(ask.clientId);
    expect(log).not.toContain('unblocked');
    end({ kind: 'requests' });
    await flush();
    expect(log.slice(-3)).toEqual(['unblocked', 'moved', 'released']);
    expect(await arrived).toBe(true);
  });

  it('waits for requests at the old gate as long as they take', async () => {
    const source = await arrive({ isRunning: true });
    turnAll(source);
    end(pushes());
    await jest.advanceTimersByTimeAsync(25_000);
    expect([arrivals.size, log.includes('unblocked')]).toEqual([1, false]);
    arrivals.onTail(from.peer, ask.clientId, true, [frame(9)]);
    end({ kind: 'requests' });
    await flush();
    barriers[0]?.();
    await flush();
    expect(log).toContain('late 9');
    expect([arrivals.size, log.at(-3)]).toEqual([0, 'unblocked']);
  });

  it('ends the requests whose replies are lost with the old gate, and no others', async () => {
    const source = await arrive({ isRunning: true, running: [4, 5, 6] });
    turnAll(source);
    arrivals.onTail(from.peer, ask.clientId, false, [frame(14)]);
    end(pushes());
    arrivals.onTail(from.peer, ask.clientId, true, [frame(16)]);
    peers.delete('g1');
    arrivals.onLeave();
    await flush();
    barriers[0]?.();
    await flush();
    expect(log.filter(line => line.startsWith('WORKER_LOST'))).toEqual(['WORKER_LOST 5']);
    expect(log.indexOf('unblocked')).toBeGreaterThan(log.indexOf('WORKER_LOST 5'));
    expect(arrivals.size).toBe(0);
  });

  it('lets a late reply wait for what its worker has sent to this gate', async () => {
    const source = await arrive({ isRunning: true });
    turnAll(source);
    end(pushes());
    arrivals.onTail(from.peer, ask.clientId, true, [frame(9)]);
    end({ kind: 'requests' });
    await flush();
    expect([barriers.length, log.includes('late 9'), log.includes('unblocked')]).toEqual([1, false, false]);
    barriers[0]?.();
    await flush();
    expect(log.indexOf('unblocked')).toBeGreaterThan(log.indexOf('late 9'));
    expect(log).toContain('late 9');
  });

  it.each([
    ['a node that does not turn', 'link', (source: TurnSource) => source.turned(worker.peer, false)],
    ['a node that has not turned in time', 'link', (source: TurnSource) => source.late(worker.peer)],
    ['a node that the old gate doubts', 'link', () => end(pushes(['w1']))],
    ['an old gate that is lost', 'gate-lost', () => (peers.delete('g1'), arrivals.onLeave())],
    ['an old gate that never ends', 'gate-lost', () => jest.advanceTimersByTime(5_000)],
  ])('tells the client that messages may be missing because of %s, once', async (_, why, fail) => {
    const source = await arrive();
    turnAll(source);
    fail(source);
    fail(source);
    expect(log.filter(line => line.startsWith('doubt'))).toEqual([`doubt ${why}`]);
    expect(counters.get('moves_in_doubt', why)).toBe(1);
  });

  it('leaves out what a late node sends until it turns, and says that it may be missing', async () => {
    const source = await arrive();
    source.sent([worker.peer]);
    end(pushes(['w1']));
    log.length = 0;
    source.late(worker.peer);
    // The old gate may have delivered it, and this one must not do that again.
    expect([log, arrivals.size]).toEqual([[], 1]);
    source.turned(worker.peer, true);
    expect(log).toEqual(['admit w1', 'doubt link', 'moved', 'released']);
    expect(counters.get('moves_in_doubt', 'link')).toBe(1);
  });

  it('hears nobody but the gate that it has asked', async () => {
    await arrive();
    log.length = 0;
    arrivals.onTail(other.peer, ask.clientId, false, [frame(1)]);
    end(pushes(), other);
    end({ kind: 'closed', code: 4002, reason: '' }, other);
    expect(log).toEqual([]);
    end({ kind: 'closed', code: 4002, reason: 'kicked' });
    expect(log).toEqual(['closed 4002']);
    arrivals.onTail(from.peer, ask.clientId, false, [frame(1)]);
    expect(log).toHaveLength(1);
  });

  it('closes with a code that can be sent, whatever the other gate says', async () => {
    await arrive();
    end({ kind: 'closed', code: 1006, reason: '' });
    expect(log.at(-1)).toBe(`closed ${CLOSE.kicked.code}`);
  });

  it('excludes a node that comes while the old gate still delivers', async () => {
    await arrive();
    const late = new FakePeer('w2', 'worker');
    arrivals.onJoin(late.peer);
    expect(log.at(-1)).toBe('exclude w2');
    end(pushes());
    arrivals.onJoin(new FakePeer('w3', 'worker').peer);
    expect(log).not.toContain('exclude w3');
  });

  it('asks once for a session that two connections want', async () => {
    const first = arrivals.take(ask, undefined, () => true);
    const second = arrivals.take(ask, undefined, () => true);
    from.calls[0]?.succeed(answerOf());
    expect('connection' in ((await first) as object)).toBe(true);
    expect(await second).toBe('here');
    expect(from.calls).toHaveLength(1);
  });

  it('follows a session that has moved on, and gives up when it keeps moving', async () => {
    const taken = arrivals.take(ask, undefined, () => true);
    from.calls[0]?.succeed({ movedTo: 'g3' });
    await flush();
    other.calls[0]?.succeed({ code: 'RESUME_CLOSED', closeCode: 4002 });
    expect(await taken).toEqual({ code: 'RESUME_CLOSED', closeCode: 4002 });
    const circle = arrivals.take(ask, undefined, () => true);
    for (let hop = 0; hop < 4; hop++) {
      const peer = hop % 2 === 0 ? from : other;
      peer.calls.at(-1)?.succeed({ movedTo: hop % 2 === 0 ? 'g3' : 'g1' });
      await flush();
    }
    expect(await circle).toEqual({ code: 'RESUME_BUSY' });
  });

  it('does not follow a session that was offered: its client has come back elsewhere', async () => {
    const taken = arrivals.take({ ...ask, isHandOver: true }, from.peer, () => true);
    from.calls[0]?.succeed({ movedTo: 'g3' });
    expect(await taken).toEqual({ code: 'RESUME_BUSY' });
    expect(other.calls).toEqual([]);
  });

  it('lets another gate wait while it asks for the session, for a bounded time, and not while it asks all', async () => {
    let fetched = 0;
    const wait = (): Promise<unknown> => arrivals.whenFetched(ask.clientId).then(() => fetched++);
    await wait();
    const taken = arrivals.take(ask, undefined, () => true);
    const [answered, late] = [wait(), wait()];
    await flush();
    expect(fetched).toBe(1);
    jest.advanceTimersByTime(300);
    await late;
    from.calls[0]?.succeed(answerOf());
    await Promise.all([taken, answered]);
    peers.delete('g1');
    arrivals.forget({ agent } as unknown as ResumableConnection);
    const all = arrivals.take(ask, undefined, () => true);
    await wait();
    other.calls[0]?.succeed({ code: 'RESUME_UNKNOWN' });
    expect(await all).toEqual({ code: 'RESUME_LOST' });
  });

  it('declines a session that nobody waits for any more, and one that has not come in time', async () => {
    const unwanted = arrivals.take(ask, undefined, () => false);
    from.calls[0]?.succeed(answerOf());
    expect(await unwanted).toEqual({ code: 'RESUME_BUSY' });
    const late = arrivals.take(ask, undefined, () => true);
    from.calls[1]?.fail(new GateError('TIMEOUT'));
    expect(await late).toEqual({ code: 'RESUME_BUSY' });
    expect(from.told).toEqual([{ kind: 'declined' }, { kind: 'declined' }]);
    expect(arrivals.size).toBe(0);
  });

  it('says whether a session is lost, or may come back with its gate', async () => {
    const lose = async (): Promise<unknown> => {
      const taken = arrivals.take(ask, undefined, () => true);
      from.calls.at(-1)?.fail(new GateError('NODE_LOST'));
      return taken;
    };
    peers.delete('g1');
    const all = arrivals.take(ask, undefined, () => true);
    other.calls[0]?.succeed({ code: 'RESUME_UNKNOWN' });
    expect(await all).toEqual({ code: 'RESUME_LOST' });
    fate = 'missing';
    const missing = arrivals.take(ask, undefined, () => true);
    other.calls[1]?.succeed({ code: 'RESUME_UNKNOWN' });
    expect(await missing).toEqual({ code: 'RESUME_BUSY' });
    peers.set('g1', from.peer);
    expect(await lose()).toEqual({ code: 'RESUME_BUSY' });
  });

  it('does not begin while a node is there that does not know how sessions move', async () => {
    isKnownByAll = false;
    expect(await arrivals.take(ask, undefined, () => true)).toEqual({ code: 'RESUME_LOST' });
    isKnownByAll = true;
    const old = arrivals.take(ask, undefined, () => true);
    from.calls[0]?.fail(new GateError('UNKNOWN_OPERATION'));
    expect(await old).toEqual({ code: 'RESUME_LOST' });
  });

  it('knows which sessions may be elsewhere', () => {
    expect(arrivals.mayBeElsewhere('g1.e.1')).toBe(true);
    expect([arrivals.mayBeElsewhere('me.e.1'), arrivals.mayBeElsewhere('nonsense')]).toEqual([false, false]);
    // Of an earlier boot of this gate: another gate may have it.
    expect(arrivals.mayBeElsewhere('me.f.1')).toBe(true);
    known = { peer: me.peer };
    expect(arrivals.mayBeElsewhere('g1.e.1')).toBe(false);
  });

  it('keeps another gate that wants the session waiting, for a bounded time', async () => {
    await arrive();
    const waiting = arrivals.hasArrived(ask.clientId);
    jest.advanceTimersByTime(800);
    expect(await waiting).toBe(false);
    expect(await arrivals.hasArrived('g1.e.2')).toBe(true);
  });

  it('lets go of a session that has ended here', async () => {
    await arrive();
    arrivals.forget({ agent } as unknown as ResumableConnection);
    expect([arrivals.size, log.slice(-2)]).toEqual([0, ['moved', 'released']]);
  });
});
