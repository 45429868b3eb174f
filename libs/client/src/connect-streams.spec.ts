import { afterEach, describe, expect, it } from '@jest/globals';
import { GateError } from './errors.js';
import type { ConnectOptions } from './options.js';
import { Stage } from './spec/stage.js';
import { settle } from './testing/fake-environment.js';

let stage: Stage;
const V2 = { protocol: 'gate.json.2' };

function online(options?: ConnectOptions, welcome = {}): Stage {
  stage = new Stage(options);
  stage.welcome(welcome);
  return stage;
}

afterEach(() => {
  stage.gate.close();
  expect(stage.environment.open).toEqual({ timers: 0, watchers: 0 });
});

/** Reads a stream to its end: the items, and the code of its error. */
async function read(items: AsyncIterable<unknown>): Promise<[items: unknown[], code: string | undefined]> {
  const seen: unknown[] = [];
  try {
    for await (const item of items) seen.push(item);
    return [seen, undefined];
  } catch (error) {
    return [seen, (error as GateError).code];
  }
}

/** Lets the client open its next connection. */
async function reopen(): Promise<void> {
  stage.gate.wake();
  await stage.environment.advance(0);
}

const cancels = (): unknown[] => stage.control.filter(({ topic }) => topic === '$gate/cancel').map(({ body }) => body);

describe('a stream', () => {
  it('yields items until its end', async () => {
    const { gate, socket } = online();
    const stream = read(gate.stream('ai/ask', { prompt: 'x' }));
    expect(stage.sent).toEqual([{ topic: 'ai/ask', body: { prompt: 'x' }, stream: true, id: 1 }]);
    for (const item of ['a', 0, null, '']) socket.receive({ id: 1, item });
    socket.receive({ id: 1, end: true });
    socket.receive({ id: 1, item: 'late' });
    expect(await stream).toEqual([['a', 0, null, ''], undefined]);
    expect(gate.stats.unknownReplies).toBe(1);
    expect(cancels()).toEqual([]);
  });

  it('throws the error that ends it, after its items', async () => {
    const { gate, socket } = online();
    const stream = read(gate.stream('ai/ask'));
    socket.receive({ id: 1, item: 'a' });
    socket.receive({ id: 1, error: { code: 'SLOW_CONSUMER', message: 'too slow' } });
    expect(await stream).toEqual([['a'], 'SLOW_CONSUMER']);
    expect(cancels()).toEqual([]);
  });

  it('has one item where the handler is no stream', async () => {
    const { gate, socket } = online();
    const stream = read(gate.stream('ai/ask'));
    socket.receive({ id: 1, body: 7 });
    expect(await stream).toEqual([[7], undefined]);
  });

  it('is cancelled when its loop is left, its signal is aborted, or it is not read', async () => {
    const { gate, socket } = online();
    const left = gate.stream('ai/ask');
    socket.receive({ id: 1, item: 'a' });
    for await (const item of left) {
      expect(item).toBe('a');
      break;
    }
    expect(cancels()).toEqual([1]);
    const aborter = new AbortController();
    const aborted = read(gate.stream('ai/ask', 1, { signal: aborter.signal }));
    aborter.abort();
    expect(await aborted).toEqual([[], 'ABORTED']);
    const slow = gate.stream('ai/ask', 1, { limit: 2 });
    for (const item of [1, 2, 3]) socket.receive({ id: 3, item });
    expect(await read(slow)).toEqual([[1, 2], 'SLOW_CONSUMER']);
    expect(cancels()).toEqual([1, 2, 3]);
  });

  it('that was not sent yet is only withdrawn', async () => {
    stage = new Stage();
    const stream = stage.gate.stream('ai/ask');
    await stream.return?.();
    stage.welcome();
    expect(stage.sent).toEqual([]);
    expect(cancels()).toEqual([]);
  });

  it('times out between items, not in all', async () => {
    const { gate, socket, environment } = online();
    const stream = read(gate.stream('ai/ask', 1, { timeoutMs: 1_000 }));
    for (let i = 0; i < 5; i++) {
      await environment.advance(900);
      socket.receive({ id: 1, item: i });
    }
    await environment.advance(1_000);
    expect(await stream).toEqual([[0, 1, 2, 3, 4], 'TIMEOUT']);
    expect(cancels()).toEqual([1]);
  });

  it('ends with CONNECTION_LOST, or goes on where the session does', async () => {
    const { gate } = online();
    const lost = read(gate.stream('ai/ask'));
    stage.socket.lose();
    expect(await lost).toEqual([[], 'CONNECTION_LOST']);
    gate.close();
    online({}, V2);
    const kept = read(stage.gate.stream('ai/ask'));
    stage.socket.receive({ id: 1, item: 1 });
    stage.socket.lose();
    await reopen();
    stage.resume({ from: 2, heard: 1 });
    stage.socket.receive({ id: 1, item: 2 });
    stage.socket.receive({ id: 1, end: true });
    expect(await kept).toEqual([[1, 2], undefined]);
  });
});

describe('a call of the server', () => {
  const answers = (): unknown[] => stage.sent.toSorted((a, b) => Number(a['answer']) - Number(b['answer']));

  it('is answered with what the handler returns, or throws', async () => {
    const { gate, socket } = online();
    gate.handle('ui/confirm', async ({ question }: { question: string }) => question === 'sure?');
    gate.handle('ui/nothing', () => undefined);
    gate.handle('ui/no', () => {
      throw new GateError('BUSY', 'later');
    });
    socket.receive({ topic: 'ui/confirm', body: { question: 'sure?' }, ask: 1 });
    socket.receive({ topic: 'ui/nothing', ask: 2 });
    socket.receive({ topic: 'ui/no', ask: 3 });
    await settle();
    expect(answers()).toEqual([
      { answer: 1, body: true },
      { answer: 2, body: null },
      { answer: 3, error: { code: 'BUSY', message: 'later' } },
    ]);
  });

  it('that fails in another way is INTERNAL there, and an error event here', async () => {
    const { gate, socket } = online();
    gate.handle('ui/bug', () => Promise.reject(new TypeError('a secret')));
    gate.handle('ui/bigint', () => 1n);
    socket.receive({ topic: 'ui/bug', ask: 1 });
    socket.receive({ topic: 'ui/none', ask: 2 });
    socket.receive({ topic: 'ui/bigint', ask: 3 });
    await settle();
    expect(answers()).toEqual([
      { answer: 1, error: { code: 'INTERNAL', message: 'INTERNAL' } },
      { answer: 2, error: { code: 'NO_HANDLER', message: 'NO_HANDLER' } },
    ]);
    expect(stage.of('error').map(String)).toEqual([
      expect.stringContaining('a secret'),
      expect.stringContaining('BigInt'),
    ]);
  });

  it('has one handler, until that is removed', async () => {
    const { gate, socket } = online();
    const off = gate.handle('ui/x', () => 1);
    expect(() => gate.handle('ui/x', () => 2)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    off();
    gate.handle('ui/x', () => 2);
    off();
    socket.receive({ topic: 'ui/x', ask: 1 });
    await settle();
    expect(answers()).toEqual([{ answer: 1, body: 2 }]);
  });

  it('is refused when 32 run already', async () => {
    const { gate, socket } = online();
    gate.handle('ui/x', () => new Promise(() => undefined));
    for (let ask = 1; ask <= 33; ask++) socket.receive({ topic: 'ui/x', ask });
    await settle();
    expect(answers()).toEqual([{ answer: 33, error: { code: 'LIMIT_EXCEEDED', message: 'LIMIT_EXCEEDED' } }]);
  });

  it('of a session that is gone is not answered; of one that goes on it is, once', async () => {
    const { gate } = online({}, V2);
    let finish: (value: number) => void = () => undefined;
    gate.handle('ui/x', () => new Promise<number>(resolve => (finish = resolve)));
    stage.socket.receive({ topic: 'ui/x', ask: 1 });
    stage.socket.lose();
    finish(1);
    await reopen();
    stage.resume({ from: 2, heard: 0 });
    expect(answers()).toEqual([{ answer: 1, body: 1 }]);
    stage.socket.receive({ topic: 'ui/x', ask: 2 });
    stage.socket.lose();
    await reopen();
    stage.welcome({ clientId: 'c2' });
    finish(2);
    await settle();
    expect(answers()).toHaveLength(1);
  });
});

describe('load', () => {
  it('holds pushes until it settles, so that a snapshot and what follows fit together', async () => {
    const heard: unknown[] = [];
    let snapshot: Promise<unknown> = Promise.resolve();
    const options: ConnectOptions = {
      load: async reason => {
        heard.push(reason);
        snapshot = stage.gate.request('room/snapshot');
        heard.push(await snapshot);
      },
    };
    stage = new Stage(options);
    stage.welcome();
    const { gate } = stage;
    gate.on('a/b', body => heard.push(body));
    stage.socket.receive({ topic: 'a/b', body: 'next' });
    await settle();
    expect(heard).toEqual(['session']);
    stage.socket.receive({ id: 1, body: 'snapshot' });
    await snapshot;
    await settle();
    expect(heard).toEqual(['session', 'snapshot', 'next']);
  });

  it('goes before what was queued, and after a failure everything goes on', async () => {
    const load = async (): Promise<void> => {
      stage.gate.send('chat/login', 'ada');
      await settle();
      throw new Error('no snapshot');
    };
    stage = new Stage({ load });
    stage.gate.send('chat/say', 'queued');
    stage.welcome();
    await settle();
    expect(stage.sent.map(({ topic }) => topic)).toEqual(['chat/login']);
    stage.gate.send('chat/now');
    await settle();
    await settle();
    await settle();
    expect(stage.sent.map(({ topic }) => topic)).toEqual(['chat/login', 'chat/now', 'chat/say']);
    expect(stage.events.at(-1)).toEqual(['error', new Error('no snapshot')]);
  });

  it('of a new session does not wait for the load of the session before, and drops what that one held', async () => {
    const loads: (() => void)[] = [];
    const heard: unknown[] = [];
    const { gate } = online({ load: () => new Promise<void>(resolve => loads.push(resolve)) });
    gate.on('a/b', body => heard.push(body));
    stage.socket.receive({ topic: 'a/b', body: 'old' });
    stage.socket.lose();
    await reopen();
    stage.welcome({ clientId: 'c2' });
    stage.socket.receive({ topic: 'a/b', body: 'new' });
    await settle();
    expect(loads).toHaveLength(2);
    loads[0]?.();
    await settle();
    expect(heard).toEqual([]);
    loads[1]?.();
    await settle();
    expect(heard).toEqual(['new']);
  });

  it('whose request waits for a connection does not stop the next load', async () => {
    const done: string[] = [];
    const load = async (): Promise<void> => {
      await stage.gate.request('chat/login', 'ada');
      await settle();
      await stage.gate.request('room/join', 'lobby');
      done.push(stage.gate.clientId);
    };
    stage = new Stage({ load });
    stage.welcome();
    stage.socket.receive({ id: 1, body: null });
    // The second request of the load is made without a connection.
    stage.socket.lose();
    await settle();
    await settle();
    expect(stage.gate.queued).toBe(1);
    await reopen();
    stage.welcome({ clientId: 'c2' });
    await settle();
    expect(stage.socket.sent.map(({ topic }) => topic)).toEqual(['chat/login']);
    stage.socket.receive({ id: 3, body: null });
    await settle();
    await settle();
    stage.socket.receive({ id: 4, body: null });
    await settle();
    expect(done).toEqual(['c2']);
    expect(stage.gate.queued).toBe(0);
  });

  it('that takes too long drops what is held, tells the gap, and runs again', async () => {
    const loads: string[] = [];
    let finish: () => void = () => undefined;
    const { gate } = online({ load: reason => (loads.push(reason), new Promise<void>(resolve => (finish = resolve))) });
    for (let i = 0; i <= 1_000; i++) stage.socket.receive({ topic: 'a/b', body: i });
    expect(stage.of('gap')).toEqual([{ n: 1_001, why: 'held' }]);
    expect(gate.stats.dropped).toBe(1_001);
    finish();
    await settle();
    expect(loads).toEqual(['session', 'gap']);
    finish();
    await settle();
  });
});
