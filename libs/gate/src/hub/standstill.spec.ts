import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode, PeerChange } from '@nestgate/link';
import {
  type Contract,
  type Handlers,
  type IncomingCall,
  type Peer,
  type PendingCall,
  standstillContract,
} from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import type { Revoker } from '../auth/revoker.js';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { LoginRules } from '../session/login-rules.js';
import { Hub } from './hub.js';
import { Standstill } from './standstill.js';

const LOOK_MS = 250;
const PAUSE_MS = 2_000;
const MAX_HELD = 100_000;

/** All that is looked at of operations. */
const contract = { set: { to: 'node' }, ask: { urgent: true }, ungroup: { to: 'node' } } as unknown as Contract;

/** Another node, which answers when the test says so. */
class OtherNode {
  readonly info: Peer['info'];
  readonly pendings: PendingCall<void, void>[] = [];
  readonly failures: [unknown, string][] = [];

  constructor(id: string, role: 'gate' | 'worker' = 'gate') {
    this.info = { id, role, epoch: 'e1', modules: [], draining: false };
  }

  request(_operation: unknown, _args: unknown, pending: PendingCall<void, void>): void {
    this.pendings.push(pending);
  }
  fail({ slot }: IncomingCall, { code }: GateError): void {
    this.failures.push([slot, code]);
  }
  call(slot: number, deadline = Number.POSITIVE_INFINITY, generation = 1): IncomingCall {
    const peer = this as unknown as Peer;
    return { peer, operationId: 1, series: 1, generation, slot, deadline };
  }
}

describe('Standstill', () => {
  let served: Handlers<typeof standstillContract>;
  let listener: (change: PeerChange) => void;
  let remotes: Map<string, OtherNode>;
  let me: OtherNode;
  let counters: GateCounters;
  let hub: Hub;
  let standstill: Standstill;
  let handled: unknown[];
  let handlers: Record<'set' | 'ask' | 'ungroup', (args: unknown, call: IncomingCall) => unknown>;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    me = new OtherNode('g1');
    remotes = new Map();
    counters = new GateCounters();
    const node = {
      me,
      remotes,
      peers: remotes,
      receivedAt: 0,
      reportDefect: () => undefined,
      defects: { guard: (_where: string, run: () => void) => run },
      dispatcher: { serve: (_: unknown, all: typeof served) => (served = all) },
      onPeer: (listen: typeof listener) => {
        listener = listen;
        return () => undefined;
      },
    } as unknown as LinkNode;
    const members = new Map([['a', [{} as ClientAgent]]]);
    hub = {
      groups: {
        members: (group: string) => members.get(group) ?? [],
        remove: (group: string) => members.delete(group),
      },
    } as unknown as Hub;
    standstill = new Standstill(node, hub, {} as LoginRules, {} as Revoker, counters);
    standstill.onModuleInit();
    standstill.onApplicationBootstrap();
    handled = [];
    const note = (args: unknown): undefined => {
      if (args === 'broken') throw new Error('broken');
      handled.push(args);
      return undefined;
    };
    handlers = standstill.guard(contract, {
      set: note,
      ask: () => (note('ask'), ['answer']),
      ungroup: note,
    } as unknown as Handlers<Contract>) as unknown as typeof handlers;
  });
  afterEach(() => {
    standstill.onModuleDestroy();
    jest.useRealTimers();
  });

  /** The process does not run for a while: its clock goes on, and its timers come late. */
  function pause(ms = PAUSE_MS + LOOK_MS): void {
    const later = performance.now() + ms;
    const now = jest.spyOn(performance, 'now').mockReturnValue(later);
    jest.advanceTimersByTime(LOOK_MS);
    now.mockRestore();
  }
  const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  const set = (args: string, call: IncomingCall): void => void handlers.set(args, call);
  const answer = async (other: OtherNode): Promise<void> => {
    other.pendings.shift()?.succeed(undefined);
    await settled();
  };

  it('lets everything pass while the process runs', () => {
    const other = new OtherNode('g2');
    remotes.set('g2', other);
    jest.advanceTimersByTime(10 * LOOK_MS);
    set('one', other.call(1));
    expect(handled).toEqual(['one']);
    expect(other.pendings).toEqual([]);
  });

  it('holds what other nodes want after a pause until all of them have answered, and keeps the order', async () => {
    const [gate, worker] = [new OtherNode('g2'), new OtherNode('w1', 'worker')];
    remotes.set('g2', gate).set('w1', worker);
    pause();
    set('one', worker.call(1));
    set('two', gate.call(2));
    await answer(gate);
    expect(handled).toEqual([]);
    // A worker does not know the operation: that it says so is an answer.
    worker.pendings.shift()?.fail(new GateError('UNKNOWN_OPERATION'));
    await settled();
    expect(handled).toEqual(['one', 'two']);
    set('three', worker.call(3));
    expect(handled).toEqual(['one', 'two', 'three']);
  });

  it('holds neither queries, nor what makes other state stale, nor what the gate itself wants', () => {
    const other = new OtherNode('g2');
    remotes.set('g2', other);
    pause();
    handlers.ask(undefined, other.call(1));
    handlers.ungroup('a', other.call(2));
    set('own', me.call(3));
    expect(handled).toEqual(['ask', 'a', 'own']);
  });

  it('answers what is too late, or fails, and drops what comes of a node that has begun again', async () => {
    const [gate, worker] = [new OtherNode('g2'), new OtherNode('w1', 'worker')];
    remotes.set('g2', gate).set('w1', worker);
    pause();
    set('late', gate.call(1, performance.now() - 1));
    set('broken', gate.call(2));
    set('stale', worker.call(3));
    set('late, and nobody waits', gate.call(4, performance.now() - 1, 0));
    remotes.set('w1', new OtherNode('w1', 'worker'));
    await answer(gate);
    await answer(worker);
    expect(gate.failures).toEqual([
      [1, 'TIMEOUT'],
      [2, 'INTERNAL'],
    ]);
    expect(worker.failures).toEqual([]);
    expect(handled).toEqual(['late, and nobody waits']);
    expect(counters.snapshot()['calls_dropped']).toEqual({ stale: 1 });
  });

  it('refuses more than it may hold', () => {
    const other = new OtherNode('g2');
    remotes.set('g2', other);
    pause();
    const call = other.call(1);
    for (let n = 0; n < MAX_HELD; n++) set('one', call);
    expect(() => set('one more', call)).toThrow('The gate has paused, and holds too many operations');
    expect(counters.snapshot()['calls_dropped']).toEqual({ full: 1 });
  });

  it('waits for no node that has left, and dissolves the groups that gates report meanwhile', async () => {
    const [gate, gone] = [new OtherNode('g2'), new OtherNode('g3')];
    remotes.set('g2', gate).set('g3', gone);
    const tell = (): void => served.ungroups([{ group: 'a', ageMs: 100 }], gate.call(1) as never);
    tell();
    expect([...hub.groups.members('a')]).toHaveLength(1);
    pause();
    tell();
    expect([...hub.groups.members('a')]).toHaveLength(0);
    set('one', gate.call(2));
    remotes.delete('g3');
    listener({ type: 'leave', id: 'g3' });
    gone.pendings.shift()?.fail(new GateError('NODE_LOST'));
    jest.useRealTimers();
    await answer(gate);
    // The next look at the node that has left comes after a moment.
    for (let n = 0; n < 200 && handled.length === 0; n++) await new Promise(resolve => setTimeout(resolve, 5));
    expect(handled).toEqual(['one']);
  });
});
