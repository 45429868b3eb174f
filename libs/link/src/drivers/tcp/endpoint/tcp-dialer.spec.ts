import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { DIAL_TIMES, TcpDialer } from './tcp-dialer.js';
import { TcpResolver } from './tcp-resolver.js';

/** One attempt to connect. */
interface Attempt {
  readonly host: string;
  readonly at: number;
  readonly socket: Socket;
  /** The connection is there. */
  readonly accept: () => void;
}

describe('TcpDialer', () => {
  let attempts: Attempt[] = [];
  let connected: Socket[] = [];
  let addresses: readonly string[] | Error = [];
  let dialer: TcpDialer;

  beforeEach(() => {
    // Streams report their end by nextTick, which must not be mocked.
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    attempts = [];
    connected = [];
    addresses = ['10.0.0.1'];
    dialer = new TcpDialer({
      resolver: new TcpResolver([{ host: 'gates', port: 1 }], () =>
        addresses instanceof Error ? Promise.reject(addresses) : Promise.resolve(addresses),
      ),
      connect: ({ host }, onConnect) => {
        const socket = new Socket();
        attempts.push({ host, at: performance.now(), socket, accept: () => onConnect(socket) });
        return socket;
      },
      onConnect: socket => connected.push(socket),
    });
  });

  afterEach(() => {
    dialer.stop();
    for (const { socket } of attempts) socket.destroy();
    jest.useRealTimers();
  });

  const turn = () => new Promise(resolve => setImmediate(resolve));
  const pass = async (ms: number): Promise<void> => {
    await jest.advanceTimersByTimeAsync(ms);
    await turn();
  };
  const last = (): Attempt => attempts.at(-1) as Attempt;
  const hosts = (): string[] => attempts.map(({ host }) => host);

  async function start(): Promise<void> {
    void dialer.start();
    await pass(0);
  }

  /** Ends the last attempt, and waits for the next one. Returns how long that took. */
  async function fail(): Promise<number> {
    const { socket } = last();
    const count = attempts.length;
    const from = performance.now();
    socket.destroy();
    await turn();
    for (let i = 0; i < 20_000 && attempts.length === count; i++) await jest.advanceTimersByTimeAsync(1);
    return performance.now() - from;
  }

  it('waits longer after each failure, at random, and no longer than three seconds', async () => {
    await start();
    const { maxRetryMs, minRetryMs } = DIAL_TIMES;
    for (let failures = 0; failures < 10; failures++) {
      const most = Math.min(maxRetryMs, minRetryMs * 2 ** failures);
      const waited = await fail();
      expect(waited).toBeGreaterThanOrEqual(most / 2 - 1);
      expect(waited).toBeLessThanOrEqual(most + 1);
    }
  });

  it('gives up an attempt that neither connects nor fails, and tries again', async () => {
    await start();
    await pass(DIAL_TIMES.connectMs - 1);
    expect(last().socket.destroyed).toBe(false);
    await pass(1);
    expect(attempts[0]?.socket.destroyed).toBe(true);
    await pass(DIAL_TIMES.minRetryMs);
    expect(attempts).toHaveLength(2);
  });

  it('gives up a connection that does not become one of a peer', async () => {
    await start();
    last().accept();
    await pass(DIAL_TIMES.connectMs);
    expect(connected[0]?.destroyed).toBe(true);
  });

  it('has started when the first attempt has ended, either way', async () => {
    let isStarted = false;
    void dialer.start().then(() => (isStarted = true));
    await pass(0);
    last().accept();
    await pass(0);
    expect(isStarted).toBe(false);
    dialer.noteReady(last().socket, 'g1');
    await pass(0);
    expect(isStarted).toBe(true);
  });

  it('goes on backing off with a listener that takes it and drops it', async () => {
    await start();
    const waits: number[] = [];
    for (let i = 0; i < 6; i++) {
      last().accept();
      dialer.noteReady(last().socket, 'g1');
      waits.push(await fail());
    }
    expect(waits[5]).toBeGreaterThan(DIAL_TIMES.maxRetryMs / 2 - 1);
  });

  it('comes back soon to a peer that has been one for a while', async () => {
    await start();
    for (let i = 0; i < 6; i++) await fail();
    last().accept();
    dialer.noteReady(last().socket, 'g1');
    await pass(DIAL_TIMES.maxRetryMs + 1);
    expect(await fail()).toBeLessThanOrEqual(DIAL_TIMES.minRetryMs + 1);
  });

  it('dials a new address within one lookup', async () => {
    await start();
    last().accept();
    dialer.noteReady(last().socket, 'g1');
    addresses = ['10.0.0.1', '10.0.0.2'];
    await pass(DIAL_TIMES.lookupMs);
    expect(hosts()).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  it('looks up a name sooner that stood for nothing', async () => {
    addresses = [];
    await start();
    expect(attempts).toEqual([]);
    addresses = ['10.0.0.1'];
    await pass(DIAL_TIMES.emptyLookupMs);
    expect(hosts()).toEqual(['10.0.0.1']);
  });

  it('keeps a connection whose address has vanished, and drops the address when it ends', async () => {
    await start();
    last().accept();
    dialer.noteReady(last().socket, 'g1');
    addresses = ['10.0.0.2'];
    await pass(DIAL_TIMES.lookupMs);
    expect(connected[0]?.destroyed).toBe(false);
    connected[0]?.destroy();
    await turn();
    await pass(60_000);
    expect(hosts().filter(host => host === '10.0.0.1')).toHaveLength(1);
  });

  it('drops an address that has vanished and leads nowhere, even in the middle of an attempt', async () => {
    await start();
    await pass(DIAL_TIMES.connectMs + DIAL_TIMES.minRetryMs);
    expect(last().socket.destroyed).toBe(false);
    addresses = ['10.0.0.2'];
    await pass(DIAL_TIMES.lookupMs);
    const count = hosts().filter(host => host === '10.0.0.1').length;
    expect(attempts.filter(({ host }) => host === '10.0.0.1').every(({ socket }) => socket.destroyed)).toBe(true);
    await pass(60_000);
    expect(hosts().filter(host => host === '10.0.0.1')).toHaveLength(count);
  });

  it('keeps dialling what it knows while the name cannot be looked up', async () => {
    await start();
    addresses = Object.assign(new Error('no server'), { code: 'EAI_AGAIN' });
    await pass(DIAL_TIMES.lookupMs);
    expect(await fail()).toBeLessThan(DIAL_TIMES.maxRetryMs + 1);
    expect(last().host).toBe('10.0.0.1');
  });

  it('is quick with what was connected a moment ago, for a minute', async () => {
    await start();
    for (let i = 0; i < 8; i++) await fail();
    last().accept();
    dialer.noteReady(last().socket, 'g1');
    await pass(DIAL_TIMES.stableMs + 1);
    const lostAt = performance.now();
    while (performance.now() - lostAt < DIAL_TIMES.recentMs - 1) {
      expect(await fail()).toBeLessThanOrEqual(DIAL_TIMES.recentRetryMs + 1);
    }
    await fail();
    expect(await fail()).toBeGreaterThanOrEqual(DIAL_TIMES.maxRetryMs / 2 - 1);
  });

  it('says what it does not reach, by address, or by the node that was there', async () => {
    const there = new Set<string>();
    const unreached = () => dialer.unreached(id => there.has(id));
    addresses = ['10.0.0.1', '10.0.0.2'];
    void dialer.start();
    expect(unreached()).toMatchObject([{ name: 'gates:1', wasReached: false }]);
    await pass(0);
    const of = (host: string) => attempts.findLast(attempt => attempt.host === host) as Attempt;
    of('10.0.0.1').socket.destroy(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }));
    await turn();
    expect(unreached()).toEqual([
      { name: '10.0.0.1:1', wasReached: false, reason: 'ECONNREFUSED' },
      { name: '10.0.0.2:1', wasReached: false, reason: undefined },
    ]);
    of('10.0.0.2').accept();
    there.add('g1');
    dialer.noteReady(of('10.0.0.2').socket, 'g1');
    await pass(DIAL_TIMES.minRetryMs);
    of('10.0.0.1').accept();
    dialer.noteDuplicate(of('10.0.0.1').socket, 'g1', true);
    expect(unreached()).toEqual([]);
    // Also while the other address is asked again.
    await pass(DIAL_TIMES.connectMs + DIAL_TIMES.duplicateRetryMs);
    expect(unreached()).toEqual([]);
    there.clear();
    expect(unreached()).toMatchObject([{ name: 'g1', wasReached: true }]);
  });

  it('leaves another address of a node alone until that is not connected any more', async () => {
    await start();
    last().accept();
    dialer.noteDuplicate(last().socket, 'g1', true);
    expect(await fail()).toBeGreaterThanOrEqual(DIAL_TIMES.duplicateRetryMs / 2 - 1);
    last().accept();
    dialer.noteDuplicate(last().socket, 'g1', true);
    last().socket.destroy();
    await turn();
    dialer.wake('g2');
    await pass(DIAL_TIMES.maxRetryMs);
    expect(attempts).toHaveLength(2);
    dialer.wake('g1');
    await pass(DIAL_TIMES.minRetryMs);
    expect(attempts).toHaveLength(3);
  });

  it('ends what has not become a connection when it stops, and leaves the others to their owner', async () => {
    addresses = ['10.0.0.1', '10.0.0.2'];
    await start();
    attempts[0]?.accept();
    dialer.stop();
    expect(attempts.map(({ socket }) => socket.destroyed)).toEqual([false, true]);
    await pass(60_000);
    expect(attempts).toHaveLength(2);
  });
});
