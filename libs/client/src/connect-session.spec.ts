import { afterEach, describe, expect, it } from '@jest/globals';
import type { GateError } from './errors.js';
import type { ConnectOptions } from './options.js';
import { pageStore } from './session/page-store.js';
import { Stage } from './spec/stage.js';
import type { MockFrame } from './testing/mock-socket.js';

let stage: Stage;

function start(options?: ConnectOptions): Stage {
  stage = new Stage(options);
  return stage;
}

const V2 = { protocol: 'gate.json.2' };

afterEach(() => {
  stage.gate.close();
  expect(stage.environment.open).toEqual({ timers: 0, watchers: 0 });
  expect(stage.live).toBe(0);
});

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    value => ({ value }),
    ({ code, details }: GateError) => ({ code, ...(details as object) }),
  );

/** Loses the connection, and lets the client open the next one. */
async function cut(code = 1006): Promise<void> {
  stage.socket.lose(code);
  stage.gate.wake();
  await stage.environment.advance(0);
  expect(stage.live).toBe(1);
}

function push(...bodies: unknown[]): void {
  for (const body of bodies) stage.socket.receive({ topic: 'a/b', body });
}

/** The bodies that a listener of `a/b` has heard. */
function listen(): unknown[] {
  const heard: unknown[] = [];
  stage.gate.on('a/b', body => heard.push(body));
  return heard;
}

/** The last frame of the gate's own that the client has sent. */
const lastControl = (): MockFrame | undefined => stage.control.at(-1);

describe('a resumable session', () => {
  it('begins with $gate/open, after which the hello offers it; close() ends it with $gate/bye', () => {
    start();
    stage.welcome(V2);
    expect(stage.control).toEqual([{ topic: '$gate/open', body: { v: 2, keep: true } }]);
    expect(stage.gate.session).toBe('live');
    stage.gate.close();
    expect(lastControl()).toEqual({ topic: '$gate/bye' });
    expect(stage.socket.closedWith).toEqual({ code: 1000, byClient: true });
    expect(stage.gate.session).toBe('none');
  });

  it('is not asked for with resume: false', () => {
    start({ resume: false });
    expect(stage.socket.protocols).toEqual(['gate.json']);
    stage.welcome();
    expect(stage.control).toEqual([]);
  });

  it('goes on after a cut: it tells what it has seen and sent, and nothing is lost or repeated', async () => {
    const { gate } = start();
    stage.welcome(V2);
    const heard = listen();
    push(1, 2);
    const reply = gate.request('r/1');
    gate.send('m/2');
    stage.socket.lose();
    expect(gate.session).toBe('away');
    await stage.environment.advance(250);
    stage.socket.accept('gate.json.2');
    expect(lastControl()).toEqual({
      topic: '$gate/resume',
      body: { v: 2, session: 'c1', ticket: 't1', seen: 2, sent: 2 },
    });
    const frames = stage.socket.sent.length;
    stage.socket.receive({
      topic: '$gate/resumed',
      body: { clientId: 'c1', ticket: 't2', from: 3, heard: 1, awayMs: 7 },
    });
    // The gate had not received the second frame: only that one is sent again.
    expect(stage.socket.sent.slice(frames)).toEqual([{ topic: '$gate/ack', body: 2 }, { topic: 'm/2' }]);
    push(3);
    stage.socket.receive({ id: 1, body: 'ok' });
    expect(await reply).toBe('ok');
    expect(heard).toEqual([1, 2, 3]);
    expect(stage.of('session').at(-1)).toEqual({ clientId: 'c1', isNew: false, why: 'resumed' });
    expect(stage.of('resumed')).toEqual([{ awayMs: 7, replayed: null, resent: 1 }]);
    expect(stage.of('gap')).toEqual([]);
    expect(gate.stats).toMatchObject({ resumes: 1, resent: 1, repeated: 0 });
    await cut();
    stage.socket.accept('gate.json.2');
    expect(lastControl()?.['body']).toMatchObject({ ticket: 't2', seen: 4, sent: 2 });
  });

  it('resumes before the first push (socket.io #5538), when nothing ever happened, and 100 times (socket.io #4880)', async () => {
    start();
    stage.welcome(V2);
    for (let round = 1; round <= 100; round++) {
      await cut();
      stage.resume({ from: 1, heard: 0, ticket: `t${round + 1}` });
      expect(lastControl()).toEqual({ topic: '$gate/ack', body: 0 });
    }
    expect(stage.gate.stats).toMatchObject({ resumes: 100, connections: 101 });
    expect(stage.of('gap')).toEqual([]);
  });

  it('resumes after a quiet hour (socket.io #5282)', async () => {
    const { environment } = start();
    stage.welcome(V2);
    push(1);
    for (let minute = 0; minute < 60; minute++) {
      await environment.advance(30_000);
      stage.socket.receive({ topic: '$gate/pong' });
      await environment.advance(30_000);
      stage.socket.receive({ topic: '$gate/pong' });
    }
    await cut();
    stage.resume({ from: 2, heard: 0 });
    expect(stage.of('gap')).toEqual([]);
    expect(stage.of('resumed')).toHaveLength(1);
  });

  it('is found half-open by a ping (socket.io #4880), and resumes while the gate still takes the old connection for alive', async () => {
    const { environment, gate } = start();
    stage.welcome(V2);
    const heard = listen();
    push(1);
    const old = stage.socket;
    await environment.advance(50_000 + 10_000);
    expect(gate.state).toMatchObject({ name: 'waiting', reason: 'no pong' });
    await environment.advance(250);
    stage.resume({ from: 2, heard: 0 });
    push(2);
    old.receive({ topic: 'a/b', body: 'too late' });
    expect(heard).toEqual([1, 2]);
  });

  it('tells its newest position at each resume, not the one of the first (trpc #4122)', async () => {
    start();
    stage.welcome(V2);
    const positions: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      push(round);
      await cut();
      stage.socket.accept('gate.json.2');
      positions.push(lastControl()?.['body']);
      stage.socket.receive({ topic: '$gate/resumed', body: { ticket: 't', from: round + 2, heard: 0 } });
    }
    expect(positions).toEqual([1, 2, 3].map(seen => expect.objectContaining({ seen })));
  });

  it('leaves out frames that come again (socket.io #5419), and counts them', async () => {
    start();
    stage.welcome(V2);
    const heard = listen();
    push(1, 2, 3);
    await cut();
    // The gate has an older count.
    stage.resume({ from: 2, heard: 0 });
    push(2, 3, 4);
    expect(heard).toEqual([1, 2, 3, 4]);
    expect(stage.gate.stats.repeated).toBe(2);
    stage.socket.receive({ topic: '$gate/mark', body: 4 });
    expect(stage.gate.stats.countMismatches).toBe(0);
  });

  it('tells a gap with its exact number, and the load follows it', async () => {
    const loads: string[] = [];
    start({ load: reason => loads.push(reason) });
    stage.welcome(V2);
    await stage.environment.advance(0);
    const heard = listen();
    push(1);
    await cut();
    stage.resume({ from: 101, heard: 0 });
    stage.socket.receive({ topic: '$gate/gap', body: { from: 2, n: 99, why: 'overrun' } });
    push(101);
    expect(heard).toEqual([1]);
    await stage.environment.advance(0);
    expect(heard).toEqual([1, 101]);
    expect(loads).toEqual(['session', 'gap']);
    expect(stage.of('gap')).toEqual([{ n: 99, why: 'overrun' }]);
    stage.socket.receive({ topic: '$gate/mark', body: 101 });
    expect(stage.gate.stats.countMismatches).toBe(0);
  });

  it('tells a gap that the gate has forgotten to tell', async () => {
    start();
    stage.welcome(V2);
    push(1);
    await cut();
    stage.resume({ from: 11, heard: 0 });
    push(11);
    expect(stage.of('gap')).toEqual([{ n: 9, why: 'unknown' }]);
  });

  it('acknowledges every so many frames, and a while after the last', async () => {
    const { environment } = start();
    stage.welcome(V2);
    const acks = (): unknown[] => stage.control.filter(({ topic }) => topic === '$gate/ack').map(({ body }) => body);
    push(1, 2, 3);
    expect(acks()).toEqual([]);
    push(4);
    expect(acks()).toEqual([4]);
    push(5);
    await environment.advance(999);
    expect(acks()).toEqual([4]);
    await environment.advance(1);
    expect(acks()).toEqual([4, 5]);
    await environment.advance(5_000);
    expect(acks()).toEqual([4, 5]);
  });

  it('that was refused becomes a new one, with a gap, and what was sent is rejected', async () => {
    const { gate } = start();
    stage.welcome(V2);
    const sent = failure(gate.request('r/1'));
    await cut();
    const waiting = gate.request('r/2');
    stage.socket.accept('gate.json.2');
    stage.socket.receive({ topic: '$gate/refused', body: { code: 'RESUME_EXPIRED', message: 'too late' } });
    stage.socket.receive({ topic: '$gate/hello', body: { clientId: 'c9', session: { ticket: 'x', keepMs: 1 } } });
    expect(await sent).toEqual({ code: 'CONNECTION_LOST' });
    expect(stage.of('session').at(-1)).toEqual({ clientId: 'c9', isNew: true, why: 'RESUME_EXPIRED' });
    expect(stage.of('gap')).toEqual([{ n: null, why: 'RESUME_EXPIRED' }]);
    stage.socket.receive({ id: 2, body: 'ok' });
    expect(await waiting).toBe('ok');
    expect(stage.sent.map(({ topic }) => topic)).toEqual(['r/1', 'r/2']);
    // The new session counts from 0.
    await cut();
    stage.socket.accept('gate.json.2');
    expect(lastControl()?.['body']).toEqual({ v: 2, session: 'c9', ticket: 'x', seen: 1, sent: 1 });
  });

  it('that was closed while away ends the client, with the close code', async () => {
    start();
    stage.welcome(V2);
    await cut();
    stage.socket.accept('gate.json.2');
    const body = { code: 'RESUME_CLOSED', message: 'replaced', closeCode: 4001 };
    stage.socket.receive({ topic: '$gate/refused', body });
    expect(stage.gate.state).toEqual({ name: 'ended', code: 4001, reason: 'replaced' });
  });

  it('whose holder is busy keeps its ticket, and tries again later', async () => {
    start();
    stage.welcome(V2);
    push(1);
    await cut();
    stage.socket.accept('gate.json.2');
    stage.socket.receive({ topic: '$gate/refused', body: { code: 'RESUME_BUSY', message: 'wait' } });
    stage.socket.lose(1013);
    expect(stage.gate.session).toBe('away');
    await stage.environment.advance(8_000);
    stage.resume({ from: 2, heard: 0 });
    expect(stage.of('session').at(-1)).toEqual({ clientId: 'c1', isNew: false, why: 'resumed' });
  });

  it('that another connection has taken over ends the client', () => {
    start();
    stage.welcome(V2);
    stage.socket.lose(4004, 'taken over');
    expect(stage.gate.state).toEqual({ name: 'ended', code: 4004, reason: 'taken over' });
  });

  it('is gone with a gate that has none', async () => {
    const { gate } = start();
    stage.welcome(V2);
    const sent = failure(gate.request('r/1'));
    await cut();
    stage.welcome({ clientId: 'c2' });
    expect(await sent).toEqual({ code: 'CONNECTION_LOST' });
    expect(stage.of('gap')).toEqual([{ n: null, why: 'reconnected' }]);
    expect(stage.socket.sent).toEqual([]);
  });
});

describe('counts of frames', () => {
  it('of the client are acknowledged; only what is not is sent again', async () => {
    const { gate } = start();
    stage.welcome(V2);
    for (let i = 1; i <= 5; i++) gate.send('m/m', i);
    stage.socket.receive({ topic: '$gate/ack', body: 2 });
    await cut();
    stage.resume({ from: 1, heard: 4 });
    expect(stage.socket.sent.filter(({ topic }) => topic === 'm/m').map(({ body }) => body)).toEqual([5]);
  });

  it('of the client leave out what the rate limit has refused', async () => {
    const { gate } = start();
    stage.welcome(V2);
    const refused = failure(gate.request('r/1'));
    gate.send('m/2', 'refused');
    gate.send('m/2', 'taken');
    stage.socket.receive({ id: 1, error: { code: 'RATE_LIMITED', message: 'slowly' } });
    stage.socket.receive({ topic: '$gate/error', body: { code: 'RATE_LIMITED', message: 'slowly', topic: 'm/2' } });
    expect(await refused).toEqual({ code: 'RATE_LIMITED' });
    await cut();
    stage.socket.accept('gate.json.2');
    expect(lastControl()?.['body']).toMatchObject({ sent: 1, seen: 1 });
    stage.socket.receive({ topic: '$gate/resumed', body: { ticket: 't2', from: 2, heard: 0 } });
    expect(stage.socket.sent.at(-1)).toEqual({ topic: 'm/2', body: 'taken' });
  });

  it.each([-1, 1.5, 99, '1', null])('are not taken from an ack of %p', ack => {
    const { gate } = start();
    stage.welcome(V2);
    gate.send('m/1');
    stage.socket.receive({ topic: '$gate/ack', body: ack });
    expect(gate.stats.unknownControl).toBe(1);
    expect(gate.state.name).toBe('online');
  });

  it('that lack frames lead to a resume, which brings them', async () => {
    start();
    stage.welcome(V2);
    push(1);
    stage.socket.receive({ topic: '$gate/mark', body: 3 });
    expect(stage.gate.stats.countMismatches).toBe(1);
    expect(stage.gate.state).toMatchObject({ name: 'waiting', reason: 'count mismatch' });
    await stage.environment.advance(250);
    stage.socket.accept('gate.json.2');
    expect(lastControl()?.['body']).toMatchObject({ seen: 1 });
  });

  it('that have too many frames lead to a new session', async () => {
    start();
    stage.welcome(V2);
    push(1, 2);
    stage.socket.receive({ topic: '$gate/mark', body: 1 });
    await stage.environment.advance(250);
    stage.welcome({ ...V2, clientId: 'c2' });
    expect(lastControl()).toEqual({ topic: '$gate/open', body: { v: 2, keep: true } });
    expect(stage.of('gap')).toEqual([{ n: null, why: 'reconnected' }]);
  });

  it('of frames that wait for an acknowledgement are bounded: more wait, and then BUFFER_FULL', () => {
    const { gate } = start();
    stage.welcome(V2);
    let accepted = 0;
    while (gate.send('m/m', accepted)) accepted++;
    expect(accepted).toBe(1_000 + 256);
    expect(stage.sent).toHaveLength(1_000);
    stage.socket.receive({ topic: '$gate/ack', body: 1_000 });
    expect(stage.sent.map(({ body }) => body)).toEqual(Array.from({ length: 1_256 }, (_, i) => i));
  });
});

describe('$gate/move', () => {
  it('opens the new connection before the old one closes, and loses and repeats nothing', async () => {
    const { gate, environment } = start();
    const old = stage.welcome(V2);
    const heard = listen();
    push(1);
    old.receive({ topic: '$gate/move', body: { withinMs: 4_000, to: 'wss://other.test/gate' } });
    await environment.advance(0);
    expect(stage.sockets).toHaveLength(2);
    const next = stage.socket;
    expect(next.url).toBe('wss://other.test/gate');
    gate.send('m/1');
    next.accept('gate.json.2');
    expect(next.sent).toEqual([
      { topic: '$gate/resume', body: { v: 2, session: 'c1', ticket: 't1', seen: 1, sent: 1 } },
    ]);
    // Written from now on: held until the new gate has the session. Read until then: still from the old one.
    gate.send('m/2');
    old.receive({ topic: 'a/b', body: 2 });
    expect(old.sent.filter(({ topic }) => topic === 'm/2')).toEqual([]);
    next.receive({ topic: '$gate/resumed', body: { ticket: 't2', from: 2, heard: 1 } });
    expect(old.closedWith).toEqual({ code: undefined, byClient: true });
    push(2, 3);
    expect(heard).toEqual([1, 2, 3]);
    expect(next.sent.slice(1)).toEqual([{ topic: '$gate/ack', body: 2 }, { topic: 'm/2' }]);
    // The application has not noticed.
    expect(stage.states).toEqual(['greeting', 'online']);
  });

  it('goes on when the old connection closes first', async () => {
    const { environment } = start();
    const old = stage.welcome(V2);
    old.receive({ topic: '$gate/move', body: { withinMs: 4_000 } });
    await environment.advance(0);
    const next = stage.socket;
    next.accept('gate.json.2');
    old.lose(4005);
    expect(stage.gate.state.name).toBe('online');
    stage.gate.send('m/1');
    next.receive({ topic: '$gate/resumed', body: { ticket: 't2', from: 1, heard: 0 } });
    expect(next.sent.at(-1)).toEqual({ topic: 'm/1' });
    expect(stage.live).toBe(1);
  });

  it.each(['does not open', 'does not answer', 'fails'])('stays where it is when the new connection %s', async how => {
    const { environment, gate } = start();
    const old = stage.welcome(V2);
    old.receive({ topic: '$gate/move', body: { withinMs: 1_000 } });
    await environment.advance(0);
    if (how === 'does not answer') {
      stage.socket.accept('gate.json.2');
      gate.send('m/1');
    }
    if (how === 'fails') stage.socket.lose();
    await environment.advance(1_000);
    gate.send('m/2');
    expect(gate.state.name).toBe('online');
    expect(stage.live).toBe(1);
    expect(old.closedWith).toBeUndefined();
    expect(old.sent.at(-1)).toEqual({ topic: 'm/2' });
    await environment.advance(20_000);
    expect(gate.state.name).toBe('online');
  });

  it('comes back in the usual way when both connections fail', async () => {
    const { environment } = start();
    const old = stage.welcome(V2);
    old.receive({ topic: '$gate/move', body: { withinMs: 1_000 } });
    await environment.advance(0);
    old.lose(4005);
    stage.socket.lose();
    expect(stage.gate.state.name).toBe('waiting');
    await environment.advance(500);
    stage.resume({ from: 1, heard: 0 });
    expect(stage.gate.state.name).toBe('online');
  });

  it('does not leave encryption, nor the session of a client without one', async () => {
    start();
    stage.welcome(V2).receive({ topic: '$gate/move', body: { to: 'ws://other.test/gate' } });
    await stage.environment.advance(0);
    expect(stage.sockets).toHaveLength(1);
    stage.gate.close();
    stage.gate.connect();
    stage.welcome().receive({ topic: '$gate/move', body: {} });
    await stage.environment.advance(0);
    expect(stage.sockets).toHaveLength(2);
    expect(stage.gate.stats.unknownControl).toBe(1);
  });
});

describe('pageStore', () => {
  class Storage {
    readonly items = new Map<string, string>();
    getItem = (key: string): string | null => this.items.get(key) ?? null;
    setItem = (key: string, value: string): unknown => this.items.set(key, value);
    removeItem = (key: string): unknown => this.items.delete(key);
  }

  it('keeps the session over a reload, once: a duplicated tab has a session of its own', async () => {
    const storage = new Storage();
    const persist = pageStore('chat', storage as never);
    const first = start({ persist });
    first.welcome(V2);
    push(1, 2);
    first.gate.send('m/1');
    void failure(first.gate.request('r/2'));
    first.environment.send('unload');
    expect(first.socket.closedWith).toEqual({ code: undefined, byClient: true });
    expect(first.control.map(({ topic }) => topic)).toEqual(['$gate/open']);
    first.gate.close();

    start({ persist });
    expect(storage.items.size).toBe(0);
    expect(stage.gate.session).toBe('away');
    stage.socket.accept('gate.json.2');
    expect(stage.socket.sent).toEqual([
      { topic: '$gate/resume', body: { v: 2, session: 'c1', ticket: 't1', seen: 2, sent: 2 } },
    ]);
    stage.socket.receive({ topic: '$gate/resumed', body: { ticket: 't2', from: 3, heard: 1 } });
    expect(stage.gate.stats.countMismatches).toBe(0);
    // The ids of the page before are not used again.
    void failure(stage.gate.request('r/3'));
    expect(stage.sent.at(-1)).toMatchObject({ id: 2 });
    await cut();
    stage.socket.accept('gate.json.2');
    expect(lastControl()?.['body']).toMatchObject({ sent: 2 });
  });

  it('without it the session ends with the page', () => {
    start();
    stage.welcome(V2);
    stage.environment.send('unload');
    expect(lastControl()).toEqual({ topic: '$gate/bye' });
  });

  it.each(['', '{', 'null', '{}', '{"session":"c1","ticket":"t","seen":-1,"sent":0,"lastId":0,"until":9e15}'])(
    'starts a new session with %p',
    text => {
      const storage = new Storage();
      storage.setItem('nestgate', text);
      start({ persist: pageStore(undefined, storage as never) });
      expect(stage.gate.session).toBe('none');
    },
  );

  it('starts a new session where nothing may be stored', () => {
    const forbidden = (): never => {
      throw new Error('SecurityError');
    };
    start({ persist: pageStore('x', { getItem: forbidden, setItem: forbidden, removeItem: forbidden }) });
    stage.welcome(V2);
    expect(() => stage.environment.send('unload')).not.toThrow();
  });
});
