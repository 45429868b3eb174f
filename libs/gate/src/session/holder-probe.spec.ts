import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { HolderProbes, PROBE_MS } from './holder-probe.js';

/** As late as a look may see it. */
const LOOK_MS = 25;

/** What a probe looks at of a client. */
class FakeHolder {
  isClosed = false;
  isShaked = true;
  readonly defects: unknown[] = [];
  closedWith: number | undefined;
  pings = 0;
  readonly connection = {
    bytesRead: 10,
    takenBytes: 0,
    writableLength: 0,
    hasPing: true as boolean | undefined,
    ping: () => void this.pings++,
  };

  constructor(public isPaused = false) {}

  close(code: number): void {
    this.closedWith = code;
    this.isClosed = true;
  }

  onDefect(error: unknown): void {
    this.defects.push(error);
    this.isClosed = true;
  }

  get agent(): ClientAgent {
    return this as unknown as ClientAgent;
  }
}

describe('HolderProbes', () => {
  let counters: GateCounters;
  let probes: HolderProbes;
  let holder: FakeHolder;
  /** The outcome of each probe that has ended. */
  let outcomes: boolean[];

  const probe = (of = holder): void => void probes.isAlive(of.agent).then(alive => outcomes.push(alive));
  const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

  beforeEach(() => {
    jest.useFakeTimers();
    counters = new GateCounters();
    probes = new HolderProbes(counters);
    holder = new FakeHolder();
    outcomes = [];
  });
  afterEach(() => {
    probes.stop();
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  it('closes a client with 4003 from which nothing comes for two seconds', async () => {
    probe();
    await pass(PROBE_MS - LOOK_MS);
    expect([outcomes, holder.closedWith, holder.pings]).toEqual([[], undefined, 1]);
    await pass(2 * LOOK_MS);
    expect([outcomes, holder.closedWith]).toEqual([[false], 4003]);
    expect(counters.snapshot()).toEqual({ logins_probed: { silent: 1 } });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('takes anything that comes for an answer', async () => {
    probe();
    await pass(100);
    holder.connection.bytesRead += 6;
    await pass(LOOK_MS);
    expect(outcomes).toEqual([true]);
    await pass(2 * PROBE_MS);
    expect(holder.closedWith).toBeUndefined();
    expect(counters.snapshot()).toEqual({ logins_probed: { answered: 1 } });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('takes it for an answer that a full socket is emptied, and not that an empty one is filled', async () => {
    const slow = new FakeHolder();
    slow.connection.writableLength = 1_000;
    probe();
    probe(slow);
    holder.connection.takenBytes += 500;
    await pass(LOOK_MS);
    expect(outcomes).toEqual([]);
    slow.connection.takenBytes += 500;
    await pass(LOOK_MS);
    expect(outcomes).toEqual([true]);
    await pass(PROBE_MS);
    expect([holder.closedWith, slow.closedWith]).toEqual([4003, undefined]);
  });

  it('pings a client once in two seconds, however often it is asked for', async () => {
    for (let i = 0; i < 100; i++) probe();
    await pass(LOOK_MS);
    holder.connection.bytesRead++;
    await pass(PROBE_MS - 3 * LOOK_MS);
    for (let i = 0; i < 100; i++) probe();
    await pass(0);
    expect([outcomes.length, holder.pings]).toEqual([200, 1]);
    expect(outcomes).not.toContain(false);
    await pass(4 * LOOK_MS);
    probe();
    expect(holder.pings).toBe(2);
    await pass(PROBE_MS + LOOK_MS);
    expect([outcomes.length, outcomes[200], holder.closedWith]).toEqual([201, false, 4003]);
  });

  it.each<[string, (holder: FakeHolder) => void, boolean]>([
    ['cannot be pinged stays', ({ connection }) => (connection.hasPing = false), true],
    ['has not been welcomed stays', client => (client.isShaked = false), true],
    ['has gone does not', client => (client.isClosed = true), false],
  ])('one that %s, without a ping', async (_, prepare, isAlive) => {
    prepare(holder);
    probe();
    await pass(0);
    expect([outcomes, holder.pings]).toEqual([[isAlive], 0]);
  });

  it('one that the gate does not read stays, and one that goes meanwhile does not', async () => {
    const paused = new FakeHolder(true);
    probe(paused);
    probe();
    await pass(LOOK_MS);
    holder.isClosed = true;
    await pass(LOOK_MS);
    expect(outcomes).toEqual([true, false]);
    await pass(PROBE_MS);
    expect([paused.closedWith, holder.closedWith]).toEqual([undefined, undefined]);
  });

  it('does not count the time that the process was stopped', async () => {
    probe();
    await pass(100);
    // The clock goes on, and no timer fires.
    const now = performance.now.bind(performance);
    const spy = jest.spyOn(performance, 'now').mockImplementation(() => now() + 60_000);
    try {
      await pass(LOOK_MS);
      expect(outcomes).toEqual([]);
      holder.connection.bytesRead++;
      await pass(LOOK_MS);
      expect(outcomes).toEqual([true]);
    } finally {
      spy.mockRestore();
    }
  });

  it('one that throws ends, and the others are judged', async () => {
    const bad = new FakeHolder();
    probe(bad);
    probe();
    Object.defineProperty(bad.connection, 'bytesRead', {
      get: () => {
        throw new Error('poison');
      },
    });
    holder.connection.bytesRead++;
    await pass(LOOK_MS);
    expect(outcomes.sort()).toEqual([false, true]);
    expect(bad.defects).toEqual([new Error('poison')]);
  });

  it('counts clients as alive when it stops', async () => {
    probe();
    probes.stop();
    await pass(0);
    expect([outcomes, holder.closedWith]).toEqual([[true], undefined]);
  });
});
