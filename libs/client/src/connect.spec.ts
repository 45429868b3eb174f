import { afterEach, describe, expect, it } from '@jest/globals';
import { closeCodeInfo } from '@nestgate/protocol';
import { connect } from './connect.js';
import { GateError } from './errors.js';
import type { ConnectOptions, GateState } from './options.js';
import { Stage } from './spec/stage.js';

let stage: Stage;

function start(options?: ConnectOptions): Stage {
  stage = new Stage(options);
  return stage;
}

afterEach(() => {
  stage.gate.close();
  // Whatever a test has done: nothing is left.
  expect(stage.environment.open).toEqual({ timers: 0, watchers: 0 });
  expect(stage.live).toBe(0);
});

/** Rejects, if the promise does, with the code and the details. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    value => ({ value }),
    ({ code, details }: GateError) => ({ code, ...(details as object) }),
  );

describe('connecting', () => {
  it('goes from connecting over greeting to online, and to idle when it is closed', () => {
    start();
    expect(stage.gate.state).toEqual({ name: 'connecting', attempt: 0 });
    expect(stage.socket.url).toBe('wss://gate.test/gate');
    expect(stage.socket.protocols).toEqual(['gate.json.2', 'gate.json']);
    stage.welcome();
    expect(stage.gate.clientId).toBe('c1');
    stage.gate.close();
    expect(stage.states).toEqual(['greeting', 'online', 'idle']);
    expect(stage.of('session')).toEqual([{ clientId: 'c1', isNew: true, why: 'first' }]);
    expect(stage.socket.closedWith).toEqual({ code: 1000, byClient: true });
  });

  it('takes an http URL, without its fragment, and one that is relative to the page', () => {
    const { environment } = start({ autoConnect: false });
    environment.baseUrl = 'https://app.test/rooms/1';
    const urls: string[] = [];
    class Recorder {
      constructor(url: string) {
        urls.push(url);
        throw new Error('enough');
      }
    }
    for (const url of ['http://gate.test/a#b', '/gate', 'wss://x.test/?q=1']) {
      connect(url, { environment, WebSocket: Recorder as never });
    }
    expect(urls).toEqual(['ws://gate.test/a', 'wss://app.test/gate', 'wss://x.test/?q=1']);
  });

  it.each(['/gate', 'ftp://gate.test', 'nonsense', 'mailto:a@b'])('refuses %s without a page', url => {
    start({ autoConnect: false });
    expect(() => connect(url, { WebSocket: class {} as never })).toThrow(
      expect.objectContaining({ code: 'BAD_ARGUMENT' }),
    );
  });

  it('ends when the class of sockets refuses, with a message that does not show the token', async () => {
    start({
      WebSocket: class {
        constructor(_url: string, protocols: string[]) {
          throw new SyntaxError(`bad ${protocols.join()}`);
        }
      } as never,
      token: () => 'secret token',
    });
    await stage.environment.advance(0);
    expect(stage.gate.state).toMatchObject({ name: 'ended', code: 400 });
    expect(JSON.stringify(stage.events)).not.toContain('secret');
  });

  it('gives up a socket that does not open within 10 s, and a gate that does not say hello within 10 s', async () => {
    start();
    await stage.environment.advance(9_999);
    expect(stage.states).toEqual([]);
    await stage.environment.advance(1);
    expect(stage.gate.state).toMatchObject({ name: 'waiting', reason: 'connect timeout' });
    await stage.environment.advance(250);
    expect(stage.sockets).toHaveLength(2);
    stage.socket.accept('gate.json');
    await stage.environment.advance(9_999);
    expect(stage.gate.state).toMatchObject({ name: 'greeting', attempt: 1 });
    await stage.environment.advance(1);
    expect(stage.gate.state).toMatchObject({ name: 'waiting', reason: 'hello timeout' });
    expect(stage.live).toBe(0);
  });

  it('has one attempt at a time, and never two sockets', async () => {
    start();
    stage.gate.connect();
    stage.gate.wake();
    expect(stage.sockets).toHaveLength(1);
    for (let round = 0; round < 20; round++) {
      stage.socket.lose();
      stage.gate.wake();
      stage.gate.wake();
      await stage.environment.advance(0);
      expect(stage.live).toBe(1);
      expect(stage.sockets).toHaveLength(round + 2);
    }
  });

  it('hears nothing of a socket that it has given up', async () => {
    start();
    const old = stage.socket;
    const handlers = { open: old.onopen, message: old.onmessage, close: old.onclose };
    await stage.environment.advance(10_000);
    expect([old.onopen, old.onmessage, old.onclose]).toEqual([null, null, null]);
    expect(old.onerror).not.toBeNull();
    await stage.environment.advance(250);
    stage.welcome();
    expect(handlers.close).not.toBeNull();
    old.lose(4001);
    expect(stage.gate.state).toEqual({ name: 'online' });
  });
});

describe('coming back', () => {
  it('waits 0 to 500 ms first, then up to twice as long each time, up to 20 s, all of it jitter', async () => {
    const { environment, gate } = start();
    environment.chance = 0.999;
    const waits: number[] = [];
    for (let round = 0; round < 9; round++) {
      stage.socket.lose();
      const { retryAt } = gate.state as Extract<GateState, { name: 'waiting' }>;
      waits.push(Math.round((retryAt as number) - environment.wallNow()));
      await environment.advance(waits.at(-1) as number);
    }
    expect(waits).toEqual([500, 999, 1998, 3996, 7992, 15984, 19980, 19980, 19980]);
    environment.chance = 0;
    stage.socket.lose();
    expect(gate.state).toMatchObject({ name: 'waiting', retryAt: environment.wallNow() });
  });

  it('is quick again after 5 s online, and only then', async () => {
    const { environment, gate } = start();
    const attemptAfter = async (ms: number): Promise<unknown> => {
      stage.welcome();
      await environment.advance(ms);
      stage.socket.lose();
      const { attempt } = gate.state as Extract<GateState, { name: 'waiting' }>;
      await environment.advance(
        20_000 - (environment.nextTimerMs === undefined ? 0 : 20_000 - environment.nextTimerMs),
      );
      return attempt;
    };
    expect(await attemptAfter(100)).toBe(1);
    expect(await attemptAfter(4_999)).toBe(2);
    expect(await attemptAfter(4_999)).toBe(3);
    expect(await attemptAfter(5_000)).toBe(1);
  });

  it('never gives up: SignalR does after four retries', async () => {
    const { environment } = start();
    for (let round = 0; round < 200; round++) {
      stage.socket.lose();
      await environment.advance(20_000);
    }
    expect(stage.gate.state.name).not.toBe('ended');
    expect(stage.sockets.length).toBeGreaterThan(200);
  });

  it('comes back within 200 ms after 4005, and after 4 s or more from an overloaded gate', async () => {
    const { environment, gate } = start();
    const waitAfter = (code: number): number => {
      stage.welcome();
      stage.socket.lose(code);
      return ((gate.state as { retryAt: number }).retryAt - environment.wallNow()) / 1;
    };
    environment.chance = 0.999;
    expect(waitAfter(4005)).toBeLessThan(200);
    await environment.advance(200);
    expect(waitAfter(1013)).toBeCloseTo(7_996, 0);
    await environment.advance(8_000);
    environment.chance = 0;
    expect(waitAfter(1013)).toBe(4_000);
    // Whatever happens to the page meanwhile.
    stage.gate.wake();
    environment.hide(false);
    environment.setNetwork(true);
    expect((gate.state as { retryAt: number }).retryAt - environment.wallNow()).toBe(4_000);
    await environment.advance(4_000);
  });

  const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4004];
  const KEPT = [1001, 1005, 1006, 1011, 1012, 1013, 4003, 4005, 3000, 4999];

  it.each(FINAL)('ends with %i', async code => {
    const { environment, gate } = start();
    stage.welcome();
    const request = failure(gate.request('a/b'));
    stage.socket.lose(code, 'why');
    expect(gate.state).toEqual({ name: 'ended', code, reason: 'why' });
    expect(gate.session).toBe('lost');
    expect(await request).toEqual({ code: 'CONNECTION_LOST' });
    expect(await failure(gate.request('a/b'))).toEqual({ code: 'OFFLINE' });
    expect(gate.send('a/b')).toBe(false);
    expect(environment.open).toEqual({ timers: 0, watchers: 0 });
    await environment.advance(60_000);
    expect(stage.sockets).toHaveLength(1);
    // Only the application starts again.
    gate.connect();
    stage.welcome();
    expect(gate.state.name).toBe('online');
  });

  it.each(KEPT)('comes back after %i', code => {
    const { gate } = start();
    stage.welcome();
    stage.socket.lose(code);
    expect(gate.state).toMatchObject({ name: 'waiting', code });
  });

  it('agrees with the table of the protocol', () => {
    start();
    for (const code of FINAL) expect([code, closeCodeInfo(code)?.reconnect ?? false]).toEqual([code, false]);
    for (const code of KEPT) expect([code, closeCodeInfo(code)?.reconnect ?? true]).toEqual([code, true]);
  });

  it('ends with the codes that the application names', () => {
    const { gate } = start({ finalCodes: [4500] });
    stage.welcome();
    stage.socket.lose(4500, 'banned');
    expect(gate.state).toEqual({ name: 'ended', code: 4500, reason: 'banned' });
  });

  it('reports a new session and a gap of unknown length, where sessions do not survive', async () => {
    const { environment } = start();
    stage.welcome();
    stage.socket.lose();
    expect(stage.gate.session).toBe('lost');
    await environment.advance(250);
    stage.welcome({ clientId: 'c2' });
    expect(stage.gate.session).toBe('live');
    expect(stage.events.slice(-3)).toEqual([
      ['state', { name: 'online' }],
      ['session', { clientId: 'c2', isNew: true, why: 'reconnected' }],
      ['gap', { n: null, why: 'reconnected' }],
    ]);
  });
});

describe('pushes', () => {
  it('come to the listeners of their topic, until those are removed', () => {
    const { gate } = start();
    stage.welcome();
    const heard: unknown[] = [];
    const listener = (body: unknown): number => heard.push(body);
    const off = gate.on('chat/said', listener);
    gate.on('chat/said', listener);
    stage.socket.receive({ topic: 'chat/said', body: 1 });
    off();
    stage.socket.receive({ topic: 'chat/said', body: 2 });
    gate.off('chat/said', listener);
    stage.socket.receive({ topic: 'chat/said', body: 3 });
    expect(heard).toEqual([1, 1, 2]);
    expect(gate.stats.unheardPushes).toBe(1);
  });

  it('go on when a listener throws, or rejects: it is an error event', async () => {
    const { gate } = start();
    stage.welcome();
    const heard: unknown[] = [];
    gate.on('a/b', () => {
      throw new Error('first');
    });
    gate.on('a/b', () => Promise.reject(new TypeError('second')));
    gate.on('a/b', body => heard.push(body));
    stage.socket.receive({ topic: 'a/b', body: 1 });
    stage.socket.receive({ topic: 'a/b', body: 2 });
    await stage.environment.advance(0);
    expect(heard).toEqual([1, 2]);
    expect(stage.of('error').map(String)).toEqual(
      expect.arrayContaining(['Error: first', 'TypeError: second', 'Error: first', 'TypeError: second']),
    );
    expect(gate.stats.errors).toBe(4);
    expect(gate.state.name).toBe('online');
  });

  it('on a topic with the name of an event are no events', async () => {
    const { gate } = start();
    stage.welcome();
    const before = stage.events.length;
    const queue = gate.messages('gap');
    stage.socket.receive({ topic: 'gap', body: { n: 1 } });
    expect(stage.events).toHaveLength(before);
    expect(await queue.next()).toEqual({ done: false, value: { n: 1 } });
  });

  it('of bytes arrive as bytes', () => {
    const { gate } = start();
    stage.welcome();
    const heard: unknown[] = [];
    gate.on('a/b', body => heard.push(body));
    stage.socket.receive({ topic: 'a/b', body: 'AQID', encoding: 'base64' });
    expect(heard).toEqual([Uint8Array.of(1, 2, 3)]);
  });

  it('as an iterator go on over lost connections, and end with the signal or the client', async () => {
    const { gate, environment } = start();
    stage.welcome();
    const aborter = new AbortController();
    const one = gate.messages('a/b', { signal: aborter.signal });
    const other = gate.messages('a/b');
    stage.socket.receive({ topic: 'a/b', body: 1 });
    stage.socket.lose();
    await environment.advance(250);
    stage.welcome();
    stage.socket.receive({ topic: 'a/b', body: 2 });
    aborter.abort();
    const seen: unknown[] = [];
    for await (const body of one) seen.push(body);
    expect(seen).toEqual([1, 2]);
    gate.close();
    for await (const body of other) seen.push(body);
    expect(seen).toEqual([1, 2, 1, 2]);
    expect(await gate.messages('a/b').next()).toEqual({ done: true, value: undefined });
  });

  it('as an iterator are bounded: a loop that is too slow ends with SLOW_CONSUMER after what it has', async () => {
    const { gate } = start();
    stage.welcome();
    const queue = gate.messages('a/b', { limit: 3 });
    for (let body = 1; body <= 5; body++) stage.socket.receive({ topic: 'a/b', body });
    const seen: unknown[] = [];
    const error = await failure(
      (async () => {
        for await (const body of queue) seen.push(body);
      })(),
    );
    expect(seen).toEqual([1, 2, 3]);
    expect(error).toEqual({ code: 'SLOW_CONSUMER' });
    expect(gate.stats.unheardPushes).toBe(1);
  });
});

describe('requests', () => {
  it('resolve with the reply, and reject with the error of their id, in any order', async () => {
    const { gate } = start();
    stage.welcome();
    const first = gate.request('a/b', { x: 1 });
    const second = failure(gate.request('a/c'));
    expect(stage.sent).toEqual([
      { topic: 'a/b', body: { x: 1 }, id: 1 },
      { topic: 'a/c', id: 2 },
    ]);
    stage.socket.receive({ id: 2, error: { code: 'NOT_MEMBER', message: 'no', details: { room: 1 } } });
    stage.socket.receive({ id: 1, body: 'yes' });
    expect(await first).toBe('yes');
    expect(await second).toEqual({ code: 'NOT_MEMBER', room: 1 });
  });

  it('reject with TIMEOUT; the reply that comes later goes to nobody', async () => {
    const { gate, environment } = start();
    stage.welcome();
    const request = failure(gate.request('a/b', undefined, { timeoutMs: 100 }));
    await environment.advance(100);
    expect(await request).toEqual({ code: 'TIMEOUT', sent: true });
    stage.socket.receive({ id: 1, body: 'late' });
    stage.socket.receive({ id: 77, body: 'never asked' });
    expect(gate.stats.unknownReplies).toBe(2);
  });

  it('reject with ABORTED, before, while waiting and while in flight', async () => {
    const { gate } = start();
    const before = failure(gate.request('a/b', 1, { signal: AbortSignal.abort() }));
    const aborter = new AbortController();
    const waiting = failure(gate.request('a/b', 2, { signal: aborter.signal }));
    aborter.abort();
    expect(await before).toEqual({ code: 'ABORTED', sent: false });
    expect(await waiting).toEqual({ code: 'ABORTED', sent: false });
    stage.welcome();
    const later = new AbortController();
    const flying = failure(gate.request('a/b', 3, { signal: later.signal }));
    later.abort();
    expect(await flying).toEqual({ code: 'ABORTED', sent: true });
    expect(stage.sent.map(({ body }) => body)).toEqual([3]);
  });

  it('wait for a connection, in order, together with messages; or fail at once when they must not wait', async () => {
    const { gate } = start();
    const reply = gate.request('a/1');
    expect(gate.send('a/2', { x: 2 })).toBe(true);
    const never = failure(gate.request('a/3', undefined, { whenOffline: 'fail' }));
    expect(gate.send('a/4', undefined, { whenOffline: 'fail' })).toBe(false);
    expect(gate.queued).toBe(2);
    expect(await never).toEqual({ code: 'OFFLINE' });
    stage.welcome();
    expect(stage.sent).toEqual([
      { topic: 'a/1', id: 1 },
      { topic: 'a/2', body: { x: 2 } },
    ]);
    stage.socket.receive({ id: 1, body: null });
    expect(await reply).toBeNull();
    expect(gate.queued).toBe(0);
  });

  it('that were sent reject with CONNECTION_LOST when the connection is lost; those that were not go on waiting', async () => {
    const { gate, environment } = start();
    stage.welcome();
    const sent = failure(gate.request('a/1'));
    stage.socket.lose();
    const waiting = gate.request('a/2');
    expect(await sent).toEqual({ code: 'CONNECTION_LOST' });
    await environment.advance(250);
    stage.welcome();
    expect(stage.sent.map(({ topic }) => topic)).toEqual(['a/1', 'a/2']);
    stage.socket.receive({ id: 2, body: 'ok' });
    expect(await waiting).toBe('ok');
  });

  it('that a session listener sends go before what was queued, so that it can sign in', async () => {
    const { gate } = start();
    gate.send('chat/say', 'queued');
    gate.on('session', () => gate.send('chat/login', 'ada'));
    stage.welcome();
    expect(stage.sent.map(({ topic }) => topic)).toEqual(['chat/login', 'chat/say']);
  });

  it.each(['$gate/ping', '$mine'])('refuse the topic %s of the gate', async topic => {
    const { gate } = start();
    expect(await failure(gate.request(topic))).toEqual({ code: 'BAD_TOPIC' });
    expect(() => gate.send(topic)).toThrow(expect.objectContaining({ code: 'BAD_TOPIC' }));
  });

  it('refuse what is no JSON', async () => {
    const { gate } = start();
    expect(await failure(gate.request('a/b', 1n))).toEqual({ code: 'BAD_ARGUMENT' });
    expect(() => gate.send('a/b', 1n)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });
});

describe('the buffer without a connection (partysocket has none of its own bounds)', () => {
  it('holds 256 frames, then BUFFER_FULL', async () => {
    const { gate } = start();
    for (let i = 0; i < 256; i++) expect(gate.send('a/b', i)).toBe(true);
    expect(gate.send('a/b', 256)).toBe(false);
    expect(await failure(gate.request('a/b'))).toEqual({ code: 'BUFFER_FULL' });
    expect(gate.queued).toBe(256);
    expect(gate.stats.dropped).toBe(1);
    expect(stage.events.at(-1)).toEqual(['error', expect.objectContaining({ code: 'BUFFER_FULL' })]);
    stage.welcome();
    expect(stage.sent.map(({ body }) => body)).toEqual(Array.from({ length: 256 }, (_, i) => i));
  });

  it('holds 256 KiB, then BUFFER_FULL', () => {
    const { gate } = start();
    const body = 'x'.repeat(64 * 1024 - 100);
    expect([1, 2, 3, 4, 5].map(() => gate.send('a/b', body))).toEqual([true, true, true, true, false]);
    // What is small still fits.
    expect(gate.send('a/b', 1)).toBe(true);
  });

  it('gives the room of messages whose time is over to others, and does not send them', async () => {
    const { gate, environment } = start({ buffer: { frames: 2 } });
    gate.send('a/typing', 1, { timeoutMs: 1_000 });
    gate.send('a/say', 2, { timeoutMs: 60_000 });
    expect(gate.send('a/say', 3)).toBe(false);
    await environment.advance(1_000);
    expect(gate.send('a/say', 4)).toBe(true);
    stage.welcome();
    expect(stage.sent.map(({ body }) => body)).toEqual([2, 4]);
  });

  it('drops what waits at close, and rejects it as not sent', async () => {
    const { gate } = start();
    const request = failure(gate.request('a/b'));
    gate.send('a/b');
    gate.close();
    expect(await request).toEqual({ code: 'OFFLINE' });
    expect(gate.queued).toBe(0);
  });
});

describe('bad input from the server', () => {
  it('is ignored and counted, and never thrown', () => {
    const { gate } = start();
    stage.welcome();
    const { socket } = stage;
    for (const data of ['', 'x', '[]', 'null', '1', '{', new ArrayBuffer(3), undefined, {}]) socket.receiveRaw(data);
    for (const frame of [{}, { topic: 1 }, { id: 'x' }, { ask: 1 }, { body: 1 }]) socket.receive(frame);
    expect(gate.stats.badFrames).toBe(14);
    for (const topic of ['new', 'resumed', 'ack', 'move', 'mark', 'gap', 'hello', ''])
      socket.receive({ topic: `$gate/${topic}` });
    expect(gate.stats.unknownControl).toBe(8);
    socket.receiveRaw(JSON.stringify({ topic: 'a/b', body: 'x'.repeat(10 * 1024 * 1024) }));
    expect(gate.stats.largeFrames).toBe(1);
    expect(stage.events.at(-1)).toEqual(['error', expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' })]);
    expect(gate.state).toEqual({ name: 'online' });
  });

  it('as a hello that is none leads to another attempt', async () => {
    const { environment, gate } = start();
    stage.socket.accept('gate.json');
    for (const body of [undefined, null, 1, {}, { clientId: '' }, { clientId: 7 }]) {
      stage.socket.receive({ topic: '$gate/hello', body });
    }
    expect(gate.state.name).toBe('greeting');
    await environment.advance(10_000);
    expect(gate.state).toMatchObject({ name: 'waiting', reason: 'hello timeout' });
  });

  it('as an error of the gate that belongs to no request is an error event', () => {
    start();
    stage.welcome();
    stage.socket.receive({ topic: '$gate/error', body: { code: 'BAD_TOPIC', message: 'no', topic: 'a b' } });
    stage.socket.receive({ topic: '$gate/error', body: null });
    expect(stage.of('error')).toEqual([
      expect.objectContaining({ code: 'BAD_TOPIC', message: 'no' }),
      expect.objectContaining({ code: 'INTERNAL' }),
    ]);
  });
});
