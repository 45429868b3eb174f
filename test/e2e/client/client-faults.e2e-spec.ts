import { afterEach, describe, expect, it } from '@jest/globals';
import { connect, type ConnectOptions, type Environment, type GateClient, hostEnvironment } from '@nestgate/client';
import { waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import { inState } from './client-support.js';
import { type Fault, ScriptedGate } from './scripted-gate.js';

/** How much faster the clock of a client goes here: the longest pause, of 20 s, takes 10 ms. */
const FASTER = 2_000;
/** On that clock, half a second for a handshake: machines are busy. */
const PATIENT: ConnectOptions = { connectTimeoutMs: 1_000_000, greetingTimeoutMs: 1_000_000 };
const CUTS = 1_000;

/** The environment of Node with a fast clock, which counts what is open. */
class FastEnvironment implements Environment {
  readonly timers = new Set<unknown>();
  watchers = 0;
  private readonly host = hostEnvironment();

  now = (): number => this.host.now() * FASTER;
  wallNow = (): number => this.host.wallNow();
  random = Math.random;
  isOnline = (): boolean => true;
  isHidden = (): boolean => false;

  setTimeout(callback: () => void, ms: number): unknown {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      callback();
    }, ms / FASTER);
    this.timers.add(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.timers.delete(timer);
    clearTimeout(timer as NodeJS.Timeout);
  }

  watch(): () => void {
    this.watchers++;
    return () => this.watchers--;
  }
}

/** A client whose sockets are watched: at no moment two of them are alive. */
class WatchedClient {
  readonly environment = new FastEnvironment();
  readonly sockets: WebSocket[] = [];
  most = 0;
  readonly gate: GateClient;

  constructor(url: string, options: ConnectOptions = {}) {
    const { sockets } = this;
    const look = (): void => {
      this.most = Math.max(this.most, this.alive);
    };
    this.gate = connect(url, {
      environment: this.environment,
      WebSocket: class extends WebSocket {
        constructor(...args: ConstructorParameters<typeof WebSocket>) {
          super(...args);
          sockets.push(this);
          look();
          this.on('open', look);
        }
      } as never,
      ...options,
    });
  }

  get alive(): number {
    return this.sockets.filter(({ readyState }) => readyState <= WebSocket.OPEN).length;
  }

  /** Closes the client: nothing of it is left. */
  async close(): Promise<void> {
    this.gate.close();
    expect([this.environment.timers.size, this.environment.watchers, this.alive]).toEqual([0, 0, 0]);
    await waitUntil('all sockets to be closed', () =>
      this.sockets.every(socket => socket.readyState === WebSocket.CLOSED),
    );
  }
}

let server: ScriptedGate;
let client: WatchedClient;

async function start(
  options: Parameters<typeof ScriptedGate.start>[0],
  faults: (attempt: number) => Fault,
): Promise<void> {
  server = await ScriptedGate.start(options);
  server.faults = faults;
  client = new WatchedClient(server.url, PATIENT);
}

afterEach(async () => {
  await client.close();
  expect(client.most).toBe(1);
  await server.end();
});

/** A fault of those that a client has to get over, by chance. */
function anyFault(): Fault {
  const dice = Math.random();
  const between = (least: number, most: number): number => least + Math.floor(Math.random() * (most - least));
  if (dice < 0.8) return { kind: 'cut', bytes: between(0, 800) };
  if (dice < 0.85) return { kind: 'refuse', status: [500, 502, 503, 504, 429][between(0, 5)]! };
  if (dice < 0.88) return { kind: 'refuse', status: 503, retryAfter: '5' };
  if (dice < 0.885) return { kind: 'stall' };
  if (dice < 0.89) return { kind: 'silent' };
  return { kind: 'close', code: [1001, 1011, 1012, 1013, 4003, 4005][between(0, 6)]!, pushes: between(0, 20) };
}

describe(`${CUTS} cuts, refusals, stalls and closes by chance`, () => {
  it('with a session: every push is heard once and in order, and every message arrives once', async () => {
    await start({}, attempt => (attempt < CUTS ? anyFault() : { kind: 'serve' }));
    const { gate } = client;
    const heard: unknown[] = [];
    const told: unknown[] = [];
    gate.on('count/up', body => heard.push(body));
    gate.on('gap', event => told.push(event));
    gate.on('error', error => told.push(error));
    let sent = 0;
    await waitUntil(
      'all faults',
      () => {
        if (gate.queued < 100) gate.send('count/note', ++sent, { timeoutMs: 3_600_000 });
        return server.attempts > CUTS && gate.state.name === 'online';
      },
      300_000,
    );
    await waitUntil('all messages', () => server.noted.length === sent);
    expect(server.noted).toEqual(Array.from({ length: sent }, (_, i) => i + 1));
    expect(heard).toEqual(Array.from({ length: heard.length }, (_, i) => i + 1));
    expect(heard.length).toBeGreaterThan(CUTS);
    expect(told).toEqual([]);
    expect(gate.stats.countMismatches).toBe(0);
    expect(gate.stats.resumes).toBeGreaterThan(100);
  }, 400_000);

  it('without sessions: on each connection every push is heard once and in order, from the first', async () => {
    await start({ sessions: false }, attempt => (attempt < CUTS / 4 ? anyFault() : { kind: 'serve' }));
    const { gate } = client;
    let last = 0;
    let breaks = 0;
    let gaps = 0;
    gate.on('session', () => (last = 0));
    gate.on('gap', () => gaps++);
    gate.on('count/up', body => {
      if (body !== ++last) breaks++;
    });
    await waitUntil('all faults', () => server.attempts > CUTS / 4 && gate.state.name === 'online', 300_000);
    expect(breaks).toBe(0);
    expect(gaps).toBe(gate.stats.connections - 1);
    expect(gate.session).toBe('live');
  }, 400_000);
});

describe('the end that each fault leads to', () => {
  it.each([1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4004])('%i ends the client', async code => {
    await start({}, () => ({ kind: 'close', code, pushes: 3 }));
    expect(await inState(client.gate, 'ended')).toMatchObject({ code });
    expect(server.attempts).toBe(1);
  });

  it.each([1001, 1011, 1012, 1013, 4003, 4005])('%i leads to another connection, with the session', async code => {
    await start({}, attempt => (attempt === 0 ? { kind: 'close', code, pushes: 3 } : { kind: 'serve' }));
    const resumed = new Promise(resolve => client.gate.on('resumed', resolve));
    await resumed;
    expect(client.gate.state.name).toBe('online');
    expect(server.attempts).toBe(2);
  });

  it.each([401, 403])('%i twice ends it', async status => {
    await start({}, () => ({ kind: 'refuse', status }));
    expect(await inState(client.gate, 'ended')).toMatchObject({ code: status });
    expect(server.attempts).toBe(2);
  });

  it('503 with Retry-After is waited for', async () => {
    await start({}, attempt =>
      attempt === 0 ? { kind: 'refuse', status: 503, retryAfter: '200' } : { kind: 'serve' },
    );
    const { retryAt } = await inState(client.gate, 'waiting');
    // The wall clock is not fast.
    expect(retryAt! - Date.now()).toBeGreaterThan(198_000);
    expect(retryAt! - Date.now()).toBeLessThan(205_000);
    await inState(client.gate, 'online');
  });

  it.each<[string, string | Buffer]>([
    ['text that is no JSON', 'x'],
    ['a list', '[1]'],
    ['bytes', Buffer.of(1, 2, 3)],
    ['a frame of the gate that is not known', '{"topic":"$gate/new","body":1}'],
    ['a reply that nobody waits for', '{"id":99,"body":1}'],
    ['an ack that cannot be', '{"topic":"$gate/ack","body":1e9}'],
  ])('%s is ignored and counted', async (_name, data) => {
    await start({ sessions: false }, () => ({ kind: 'broken', data }));
    const heard: unknown[] = [];
    client.gate.on('count/up', body => heard.push(body));
    await waitUntil('some pushes', () => heard.length >= 20);
    const { badFrames, unknownControl, unknownReplies } = client.gate.stats;
    expect(badFrames + unknownControl + unknownReplies).toBeGreaterThanOrEqual(20);
    expect(server.attempts).toBe(1);
  });

  it('a frame of 10 MB is left out', async () => {
    const data = JSON.stringify({ topic: 'count/up', body: 'x'.repeat(10 * 1024 * 1024) });
    await start({ sessions: false }, attempt => (attempt === 0 ? { kind: 'broken', data } : { kind: 'serve' }));
    // On the fast clock the frame would take longer than a pong may.
    client.environment.isHidden = () => true;
    const errors: unknown[] = [];
    client.gate.on('error', error => errors.push(error));
    await waitUntil('the error', () => errors.length > 0, 30_000);
    expect(errors[0]).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(client.gate.stats.largeFrames).toBeGreaterThan(0);
  });
});

it('an hour without a gate: attempts go on, and memory is bounded', async () => {
  await start({}, () => ({ kind: 'refuse', status: 502 }));
  const { gate, environment } = client;
  gate.on('error', () => undefined);
  const rejected: unknown[] = [];
  for (let i = 0; i < 20_000; i++) {
    gate.send('count/note', 'x'.repeat(1_000), { timeoutMs: 1e9 });
    gate.request('count/note', i, { timeoutMs: 1e9 }).catch((error: unknown) => rejected.push(error));
  }
  await waitUntil('some attempts', () => server.attempts > 20);
  expect(gate.queued).toBeLessThanOrEqual(256);
  expect(environment.timers.size).toBeLessThanOrEqual(258);
  expect(rejected.length).toBeGreaterThan(19_000);
  expect(gate.state.name).not.toBe('ended');
});
