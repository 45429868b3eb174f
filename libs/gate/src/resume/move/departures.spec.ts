import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import {
  Defects,
  type IncomingCall,
  moveContract,
  type Peer,
  type Pending,
  type ResumeAnswer,
  type ResumeAsk,
  type TailItem,
} from '@nestgate/link/internal';
import { BodyKind, CLOSE } from '@nestgate/protocol';
import type { ClientAgent } from '../../client/client-agent.js';
import { DrainQueue } from '../../client/drain-queue.js';
import { JsonSessionWire } from '../../codec/json-session-wire.js';
import { JsonWsWire } from '../../codec/json-ws-wire.js';
import type { Connection } from '../../connection/connection.js';
import { GateCounters } from '../../gate-counters.js';
import { type DepartureHost, Departures, type Found } from './departures.js';
import type { ResumableConnection } from '../resumable-connection.js';
import { ResumableQueue } from '../resumable-queue.js';
import { RingBudget } from '../ring-budget.js';

const wire = new JsonSessionWire(32, new JsonWsWire(32));
const frameOf = (body: number): Uint8Array =>
  wire.push('p/p', { kind: BodyKind.json, bytes: Buffer.from(String(body)) });

/** A node, and what this gate sends to it: tails as their numbers, ends, answers. */
class FakePeer {
  readonly sent: unknown[] = [];
  drained: Promise<void> | undefined;

  constructor(
    id: string,
    role: 'gate' | 'worker' = 'gate',
    readonly info = { id, role, epoch: `e-${id}` },
  ) {}

  notify(operation: unknown, args: { items: readonly TailItem[]; isLate: boolean; end: unknown }): void {
    if (operation === moveContract.tail) this.sent.push([args.isLate ? 'late' : 'tail', args.items.map(bodyOf)]);
    else this.sent.push(['final', args.end]);
  }

  reply(_call: IncomingCall, _operation: unknown, answer: ResumeAnswer): void {
    this.sent.push(['answer', answer]);
  }

  request(operation: { readonly id: number }, args: unknown, call: Pending<boolean>): void {
    this.sent.push(['request', args]);
    expect(operation.id).toBe(moveContract.received.id);
    this.calls.push(call);
  }
  readonly calls: Pending<boolean>[] = [];

  whenDrained(): Promise<void> | undefined {
    return this.drained;
  }

  get peer(): Peer {
    return this as unknown as Peer;
  }

  get answer(): ResumeAnswer {
    const found = this.sent.findLast(each => (each as unknown[])[0] === 'answer') as [string, ResumeAnswer];
    return found[1];
  }

  kinds(): unknown[] {
    return this.sent.map(each => (each as unknown[])[0]);
  }
}

function bodyOf(item: TailItem): unknown {
  if (!(item instanceof Uint8Array)) return item;
  const text = Buffer.from(item).toString();
  return (JSON.parse(text.slice(text.indexOf('{'))) as { body: unknown }).body;
}

/** Takes all that is written to it. */
const socket = { writableLength: 0, write: () => undefined, awaitDrain: () => undefined } as unknown as Connection;

describe('Departures', () => {
  let counters: GateCounters;
  let peers: Map<string, Peer>;
  let to: FakePeer;
  let worker: FakePeer;
  let me: FakePeer;
  let queue: ResumableQueue;
  let log: string[];
  let found: Found;
  let isIdle: Promise<boolean>;
  let arrived: Promise<boolean>;
  let fetched: Promise<void>;
  let settle: (() => void) | undefined;
  let departures: Departures;
  let connection: ResumableConnection;
  const defects: unknown[] = [];

  const ask = (parts: Partial<ResumeAsk> = {}): ResumeAsk => ({
    clientId: 'c1',
    ticket: 't',
    seen: 0,
    wire: `${wire.codec}/ws`,
    isHandOver: false,
    ...parts,
  });
  const resume = (parts: Partial<ResumeAsk> = {}, from = to) =>
    departures.resume(ask(parts), { peer: from.peer } as unknown as IncomingCall);
  const push = async (...bodies: number[]): Promise<void> => {
    for (const body of bodies) queue.send(frameOf(body));
    await Promise.resolve();
  };
  const flush = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  const turnAll = (): void => {
    departures.turning(to.peer, 'c1');
    for (const peer of peers.values()) departures.turned('g2', ['c1'], peer);
  };

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    counters = new GateCounters();
    log = [];
    [me, to, worker] = [new FakePeer('g1'), new FakePeer('g2'), new FakePeer('w1', 'worker')];
    peers = new Map([me, to, worker].map(each => [each.info.id, each.peer]));
    isIdle = Promise.resolve(true);
    arrived = Promise.resolve(true);
    fetched = Promise.resolve();
    settle = undefined;
    const host = { limits: { frames: 4, bytes: 100_000 }, makingBytes: 10_000, counters, drainQueue: new DrainQueue() };
    const owner = { onOverflow: noop, onStalled: noop, onCaughtUp: noop, onDefect: noop };
    queue = new ResumableQueue({ ...host, budget: new RingBudget(1e6), rest: [] }, owner, wire);
    queue.begin(socket);
    const sessionState = { origin: { sessionId: 'c1' }, snapshot: () => ({ sessionId: 'c1' }) };
    const agent = {
      sessionState,
      isClosed: false,
      openedAt: 0,
      arrival: 'told',
      orderedCount: 0,
      unansweredIds: [4, 9],
      worker: worker.peer,
      onceSettled: (then: () => void) => void (settle = then),
      onClose: (code: number) => void log.push(`closed ${code}`),
    };
    connection = {
      agent: agent as unknown as ClientAgent,
      queue,
      wire,
      network: 'ws',
      tickets: { generation: 4, confirmed: 3 },
      confirmed: 3,
      heard: 11,
      lostAt: 0,
      lostCode: 1006,
      isMoving: false,
      fence: (code: number) => {
        log.push(`fence ${code}`);
        queue.detach();
      },
      takeBack: () => void log.push('taken back'),
    } as unknown as ResumableConnection;
    found = { connection, generation: 4 };
    const groups = new Set(['room']);
    const node = {
      peers,
      me: me.peer,
      info: { id: 'g1' },
      holders: { known: () => undefined },
      defects: new Defects(undefined),
      reportDefect: (error: unknown) => void defects.push(error),
      fateOf: () => 'gone',
    };
    departures = new Departures({
      node: node as unknown as LinkNode,
      hub: { groups: { namesOf: () => groups }, remove: () => void log.push('removed'), find: () => undefined },
      keeper: { turns: { whenIdle: () => isIdle }, belongings: () => ({ borrowed: [] }), forget: noop },
      moving: {
        begin: () => void log.push('moving'),
        end: () => void log.push('moved'),
        exclude: (peer: Peer) => void log.push(`exclude ${peer.info.id}`),
      },
      streams: { beginLeave: () => [{ id: 9 }], leave: () => [7], stay: () => void log.push('streams stay') },
      counters,
      find: () => found,
      keyOf: () => Buffer.from('key'),
      release: noop,
      takeBack: () => void log.push('waits'),
      announce: () => void log.push('announced'),
      whenFetched: () => fetched,
      hasArrived: () => arrived,
    } as unknown as DepartureHost);
  });
  afterEach(() => {
    departures.stop();
    expect([departures.size, jest.getTimerCount(), defects]).toEqual([0, 0, []]);
    jest.useRealTimers();
  });

  it('fences the session, answers with it, and forwards what the client has not seen', async () => {
    await push(1, 2, 3);
    await resume({ seen: 1 });
    expect(log).toEqual(['moving', `fence ${CLOSE.takenOver.code}`]);
    expect(to.answer.session).toMatchObject({
      groups: ['room'],
      generation: 4,
      confirmed: 3,
      shown: 4,
      seen: 1,
      floor: 2,
      heard: 11,
      // A stream goes on at the other gate.
      running: [4],
      streams: [{ id: 9 }],
      workers: ['w1'],
      key: Buffer.from('key').toString('base64'),
    });
    expect(to.sent.slice(1)).toEqual([['tail', [2, 3]]]);
    expect(departures.destinationOf('c1')).toBe(to.peer);
    await push(4);
    expect(to.sent.at(-1)).toEqual(['tail', [4]]);
  });

  it('does not take an acknowledgement back that came after the client had sent what it has seen', async () => {
    await push(1, 2, 3);
    // On its old connection, while its `resume` with 1 was on the way through the other gate.
    queue.ack(3);
    await resume({ seen: 1 });
    // The frames are gone: with 1, the other gate would tell the client a gap of two that it has.
    expect(to.answer.session).toMatchObject({ seen: 3, floor: 4 });
    await push(4);
    expect(to.sent.slice(1)).toEqual([['tail', [4]]]);
    // Taken back, the session goes on from there.
    departures.onEnd(to.peer, 'c1', { kind: 'declined' });
    expect([queue.acked, queue.allows(3)]).toEqual([3, true]);
  });

  it('lets the other gate tell the client what is lost', async () => {
    await push(1, 2, 3, 4, 5, 6);
    await resume({ seen: 1 });
    expect(to.answer.session).toMatchObject({ seen: 1, floor: 3 });
    expect(to.sent.slice(1)).toEqual([['tail', [3, 4, 5, 6]]]);
    peers.clear();
    departures.onLeave();
  });

  it('delivers until each node has turned, then lets the session go when its requests have ended', async () => {
    await resume();
    departures.turning(to.peer, 'c1');
    departures.turned('g2', ['c1'], to.peer);
    await push(1);
    departures.turned('g2', ['c1'], worker.peer);
    expect(to.kinds()).toEqual(['answer', 'tail']);
    departures.turned('g2', ['c1'], me.peer);
    expect(to.sent.slice(1)).toEqual([
      ['tail', [1]],
      ['final', { kind: 'pushes', doubts: [], groups: ['room'], streams: [7] }],
    ]);
    expect(log.filter(line => line.startsWith('exclude'))).toEqual(['exclude g2', 'exclude w1', 'exclude g1']);
    expect(log).toContain('removed');
    expect(counters.get('sessions_moved', 'away')).toBe(1);
    await push(2);
    expect(to.sent.at(-1)).toEqual(['late', [2]]);
    settle?.();
    expect(to.sent.at(-1)).toEqual(['final', { kind: 'requests' }]);
    expect([departures.size, log.at(-1)]).toEqual([0, `closed ${CLOSE.moved.code}`]);
  });

  it('names the nodes that have not turned in time', async () => {
    await resume();
    departures.turning(to.peer, 'c1');
    departures.turned('g2', ['c1'], me.peer);
    // What it says of another gate, or of another client, is nothing to this move.
    departures.turned('g3', ['c1'], worker.peer);
    departures.turned('g2', ['c2'], worker.peer);
    jest.advanceTimersByTime(500);
    expect(to.sent.at(-1)).toEqual(['final', { kind: 'pushes', doubts: ['g2', 'w1'], groups: ['room'], streams: [7] }]);
  });

  it('counts a node that has come meanwhile, and not one that has gone', async () => {
    await resume();
    const late = new FakePeer('w2', 'worker');
    peers.set('w2', late.peer);
    departures.onJoin(late.peer);
    peers.delete('w1');
    departures.onLeave();
    departures.turning(to.peer, 'c1');
    for (const peer of [me, to]) departures.turned('g2', ['c1'], peer.peer);
    expect(to.kinds()).toEqual(['answer']);
    departures.turned('g2', ['c1'], late.peer);
    expect(to.sent.at(-1)).toMatchObject(['final', { doubts: [] }]);
  });

  it('waits for a message that a hook is making, but not without limit', async () => {
    await resume();
    queue.defer(new Promise(noop), 10);
    turnAll();
    expect(to.kinds()).toEqual(['answer']);
    jest.advanceTimersByTime(600);
    expect(to.kinds()).toEqual(['answer', 'final']);
  });

  it('waits for a link that is congested, and sends the rest at the end all the same', async () => {
    await push(1);
    let drain!: () => void;
    to.drained = new Promise(resolve => (drain = resolve));
    await resume();
    await push(2);
    expect(to.sent.slice(1)).toEqual([['tail', [1]]]);
    to.drained = undefined;
    drain();
    await Promise.resolve();
    await Promise.resolve();
    expect(to.sent.slice(1)).toEqual([
      ['tail', [1]],
      ['tail', [2]],
    ]);
    to.drained = new Promise(noop);
    await push(3, 4);
    turnAll();
    expect(to.sent.slice(-2)).toMatchObject([
      ['tail', [3, 4]],
      ['final', {}],
    ]);
  });

  it.each([
    ['a gate that has asked and does not begin', 'late', () => jest.advanceTimersByTime(3_000)],
    ['a gate that declines', 'declined', () => departures.onEnd(to.peer, 'c1', { kind: 'declined' })],
    ['a gate that is lost', 'lost', () => (peers.delete('g2'), departures.onLeave())],
  ])('takes the session back from %s', async (_, why, fail) => {
    await push(1);
    await resume();
    fail();
    expect(counters.get('sessions_moved', why)).toBe(1);
    expect(log.slice(2)).toEqual(['taken back', 'streams stay', 'moved', 'waits']);
    expect([departures.size, to.kinds()]).toEqual([0, ['answer', 'tail']]);
    // The frames are those of the next connection again.
    expect([queue.kept, queue.allows(0)]).toEqual([1, true]);
  });

  it('tells all nodes that the session is back, when some have turned already', async () => {
    await resume();
    departures.turned('g2', ['c1'], worker.peer);
    peers.delete('g2');
    departures.onLeave();
    expect(log.slice(-5)).toEqual(['taken back', 'streams stay', 'moved', 'waits', 'announced']);
    expect(counters.get('resume_gaps', 'gate-lost')).toBe(1);
  });

  it('is done when the other gate is lost after it has all pushes', async () => {
    await resume();
    turnAll();
    peers.delete('g2');
    departures.onLeave();
    expect([departures.size, log.at(-1), log.includes('taken back')]).toEqual([0, `closed ${CLOSE.moved.code}`, false]);
  });

  it('tells the other gate when the session has ended here', async () => {
    await resume();
    expect(departures.onClosed(connection, 4002, 'kicked')).toBe(true);
    expect(to.sent.at(-1)).toEqual(['final', { kind: 'closed', code: 4002, reason: 'kicked' }]);
    expect([departures.size, departures.onClosed(connection, 4002, '')]).toEqual([0, false]);
  });

  it('refuses what it cannot give away, and leaves the session as it is', async () => {
    const answers: unknown[] = [];
    const refused = async (parts: Partial<ResumeAsk> = {}, from = to) => {
      await resume(parts, from);
      answers.push(from.answer);
    };
    await refused({}, worker);
    await refused({ wire: 'frame.2/tcp' });
    await refused({ seen: 1 });
    arrived = Promise.resolve(false);
    await refused();
    arrived = Promise.resolve(true);
    found = { code: 'RESUME_CLOSED', closeCode: 4002 };
    await refused();
    found = { connection, generation: 4 };
    expect(log).toEqual([]);
    isIdle = Promise.resolve(false);
    await refused();
    expect(log).toContain('taken back');
    expect(answers).toEqual([
      { code: 'RESUME_UNKNOWN' },
      { code: 'RESUME_UNKNOWN' },
      { code: 'IMPOSSIBLE' },
      { code: 'RESUME_BUSY' },
      { code: 'RESUME_CLOSED', closeCode: 4002 },
      { code: 'RESUME_BUSY' },
    ]);
    expect(counters.get('sessions_moved', 'busy')).toBe(1);
  });

  it('sends a second gate to the one that is about to have the session', async () => {
    await resume();
    const third = new FakePeer('g3');
    await resume({}, third);
    await resume();
    expect([third.answer, to.answer]).toEqual([{ movedTo: 'g2' }, { code: 'RESUME_BUSY' }]);
  });

  it('asks the new gate what the client acknowledges of what was queued here', async () => {
    const settled: boolean[] = [];
    const receipt = {
      deadline: performance.now() + 1_000,
      isOver: false,
      settle: (is: boolean) => void settled.push(is),
    };
    await push(1);
    queue.awaitReceipt(receipt);
    await resume();
    await push(2);
    queue.awaitReceipt(receipt);
    turnAll();
    expect(to.sent.slice(-2)).toMatchObject([
      ['request', { clientId: 'c1', number: 1, waitMs: 1_000 }],
      ['request', { clientId: 'c1', number: 2 }],
    ]);
    to.calls[0]?.succeed(true);
    to.calls[1]?.fail(new Error('lost') as never);
    await Promise.resolve();
    await Promise.resolve();
    expect(settled.toSorted()).toEqual([false, true]);
  });

  it('leads the second of two gates that ask at the same time to the first, whatever they waited for', async () => {
    const third = new FakePeer('g3');
    peers.set('g3', third.peer);
    await Promise.all([resume(), resume({}, third), resume()]);
    expect(third.answer).toEqual({ movedTo: 'g2' });
    expect(to.sent).toEqual([
      ['answer', { code: 'RESUME_BUSY' }],
      ['answer', expect.objectContaining({ session: expect.anything() })],
    ]);
  });

  it('waits with its answer while it asks another gate for the session itself', async () => {
    let end!: () => void;
    fetched = new Promise(resolve => (end = resolve));
    const session = found;
    found = { code: 'RESUME_LOST' };
    const asked = resume();
    await flush();
    expect(to.sent).toEqual([]);
    found = session;
    end();
    await asked;
    expect(to.answer.session).toBeDefined();
  });
});

function noop(): void {}
