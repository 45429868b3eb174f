import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { BodyKind, CLOSE, GateError } from '@nestgate/protocol';
import { MAX_PUSH_BYTES } from '@nestgate/worker';
import { encodeMessage } from '@nestgate/worker/internal';
import fc from 'fast-check';
import { GateCounters } from '../gate-counters.js';
import type { GateOptions } from '../gate-options.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { SessionState } from '../session/session-state.js';
import { type AgentHost, ClientAgent } from './client-agent.js';
import type { Connection } from '../connection/connection.js';
import { DrainQueue } from './drain-queue.js';
import { JsonWsWire } from '../codec/json-ws-wire.js';

type Message = { topic?: string; id?: number; body?: unknown; error?: { code: string } };

/** A connection whose socket takes everything at once while it flows, and holds it while it does not. */
class FakeConnection implements Connection {
  readonly network = 'ws';
  readonly ip = '127.0.0.1';
  bytesRead = 0;
  writableLength = 0;
  takenBytes = 0;
  flowing = true;
  paused = false;
  /** What was done to it, without the pausing. */
  readonly acts: string[] = [];
  private written: Buffer = Buffer.alloc(0);

  write(data: Uint8Array): void {
    this.acts.push('write');
    this.written = Buffer.concat([this.written, data]);
    if (!this.flowing) this.writableLength += data.length;
  }

  awaitDrain(): void {}

  ping(): void {
    this.acts.push('ping');
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(code: number, reason: string): void {
    this.acts.push(`close ${code} ${reason}`);
  }

  destroy(): void {
    this.acts.push('destroy');
  }

  /** What the client gets, frame by frame. */
  messages(): Message[] {
    const messages: Message[] = [];
    let data = this.written;
    while (data.length > 0) {
      const [start, length] =
        data[1] === 126
          ? [4, data.readUInt16BE(2)]
          : data[1] === 127
            ? [10, data.readUInt32BE(6)]
            : [2, data[1] as number];
      messages.push(JSON.parse(data.toString('utf8', start, start + length)) as Message);
      data = data.subarray(start + length);
    }
    return messages;
  }
}

/** A gate that begins every request it is given, and leaves it unanswered. */
class FakeHost implements AgentHost {
  readonly options;
  readonly counters = new GateCounters();
  readonly drainQueue = new DrainQueue();
  /** The topics and ids that were routed. */
  readonly routed: string[] = [];
  readonly retired: string[] = [];
  /** Where something was thrown. */
  readonly defects: string[] = [];
  closeTimeout: (() => void) | undefined;

  constructor(options: GateOptions) {
    this.options = resolveGateOptions(options);
  }

  sessionOf(): never {
    throw new Error('Nobody asks for a session here');
  }

  take(agent: ClientAgent): void {
    const { topic, id } = agent.wire.frame;
    if (topic === 'poison/early') throw new Error('poison');
    agent.beginRequest(id);
    if (topic === 'poison/late') throw new Error('poison');
    this.routed.push(id ? `${topic}#${id}` : topic);
  }

  retire(_agent: ClientAgent, code: number, reason: string): void {
    this.retired.push(`${code} ${reason}`);
    if (reason === 'poison') throw new Error('poison');
  }

  reportDefect(_error: unknown, where: string): void {
    this.defects.push(where);
  }

  afterCloseTimeout(callback: () => void): () => void {
    this.closeTimeout = callback;
    return () => (this.closeTimeout = undefined);
  }
}

function connect(options: GateOptions = {}) {
  const host = new FakeHost({ messageRate: 0, ...options });
  const connection = new FakeConnection();
  const origin = {
    sessionId: 'g.e.1',
    serverId: 'g',
    ip: '::1',
    network: 'ws',
    connectedAt: 0,
    traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  };
  const agent = new ClientAgent(host, 1, new SessionState(origin, 1_000), connection, wire);
  const receive = (...frames: (string | Message)[]) => {
    for (const frame of frames) agent.onFrame(Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame)));
  };
  /** The socket stops, with a first push in it. */
  const stick = async () => {
    connection.flowing = false;
    push('stuck');
    await turn();
  };
  const push = (text: string) =>
    agent.pushBody('p/p', { kind: BodyKind.json, bytes: Buffer.from(JSON.stringify(text)) });
  /** The socket has been emptied, and takes everything again. */
  const flow = () => {
    connection.flowing = true;
    connection.writableLength = 0;
    agent.onDrain();
  };
  const pushed = () =>
    connection
      .messages()
      .filter(({ topic }) => topic === 'p/p')
      .map(({ body }) => body);
  const errors = () =>
    connection
      .messages()
      .map(({ id, error, body }) => (error ? `${id} ${error.code}` : `0 ${(body as { code?: string }).code}`));
  return { host, connection, agent, receive, stick, flow, push, pushed, errors };
}

const wire = new JsonWsWire(32);

function deferred<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>(settle => (resolve = settle));
  return { promise, resolve };
}

const turns = () => new Promise<void>(resolve => setImmediate(resolve));
const turn = () => new Promise<void>(resolve => queueMicrotask(resolve));
const frame = (topic: string, id?: number): Message => (id === undefined ? { topic } : { topic, id });

describe('ClientAgent: credit and order', () => {
  it('routes frames up to its credit, and reads no further', () => {
    const { host, connection, agent, receive } = connect({ concurrentTasks: 2 });
    receive(frame('a', 1), frame('b'));
    expect(connection.paused).toBe(false);
    receive(frame('c'), frame('d'));
    expect(host.routed).toEqual(['a#1', 'b']);
    expect(connection.paused).toBe(true);
    expect(host.counters.get('reads_paused', 'unanswered')).toBe(1);
    expect(agent.unansweredCount).toBe(2);
    agent.endRequest(0);
    expect(host.routed).toEqual(['a#1', 'b', 'c']);
    expect(connection.paused).toBe(true);
    agent.endRequest(1);
    expect(host.routed).toEqual(['a#1', 'b', 'c', 'd']);
    expect(connection.paused).toBe(false);
    expect(agent.recvNum).toBe(4);
  });

  it('holds everything while it is blocked, even within its credit', () => {
    const { host, connection, agent, receive } = connect();
    agent.block();
    agent.block();
    receive(frame('a'), frame('b'));
    expect(connection.paused).toBe(true);
    agent.unblock();
    expect(host.routed).toEqual([]);
    agent.unblock();
    expect(host.routed).toEqual(['a', 'b']);
    expect(connection.paused).toBe(false);
  });

  it('never overtakes and never exceeds its credit, whatever happens when', () => {
    const step = fc.constantFrom('frame', 'frame', 'frame', 'end', 'end', 'block', 'unblock');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, credit) => {
        const { host, connection, agent, receive } = connect({ concurrentTasks: credit });
        const sent: string[] = [];
        let blocks = 0;
        for (const act of steps) {
          if (act === 'frame') {
            const topic = `t${sent.length}`;
            sent.push(topic);
            receive(frame(topic));
          } else if (act === 'end' && agent.unansweredCount > 0) {
            agent.endRequest(0);
          } else if (act === 'block') {
            blocks++;
            agent.block();
          } else if (act === 'unblock' && blocks > 0) {
            blocks--;
            agent.unblock();
          }
          const held = sent.length - host.routed.length;
          expect(host.routed).toEqual(sent.slice(0, host.routed.length));
          expect(agent.unansweredCount).toBeLessThanOrEqual(credit);
          expect(connection.paused).toBe(held > 0);
          if (held > 0) expect(blocks > 0 || agent.unansweredCount === credit).toBe(true);
        }
      }),
    );
  });

  it('takes an id for a duplicate until its request has ended', async () => {
    const { host, agent, errors, receive } = connect();
    receive(frame('a', 1), frame('b', 1), frame('c', 2), frame('d'), frame('e'), '{"topic":"f","body":{]},"id":1}');
    await turn();
    expect(errors()).toEqual(['1 DUPLICATE_ID', '0 BAD_FRAME']);
    expect(agent.unansweredCount).toBe(4);
    agent.endRequest(1);
    receive(frame('g', 1));
    expect(host.routed).toEqual(['a#1', 'c#2', 'd', 'e', 'g#1']);
  });

  it('spends no credit on duplicates', () => {
    const { host, agent, receive } = connect({ concurrentTasks: 2 });
    receive(frame('a', 1), frame('b', 1), frame('c', 2));
    expect(host.routed).toEqual(['a#1', 'c#2']);
    expect(agent.unansweredCount).toBe(2);
  });
});

describe('ClientAgent: frames that go no further', () => {
  it('answers pings itself, with their id as a reply', async () => {
    const { host, connection, receive } = connect();
    receive(frame('$gate/ping'), frame('$gate/ping', 7));
    await turn();
    expect(connection.messages()).toEqual([{ topic: '$gate/pong' }, { id: 7, body: null }]);
    expect(host.routed).toEqual([]);
  });

  it('answers a topic that is none, under its id', async () => {
    const { host, errors, receive } = connect();
    receive(frame('no such', 3), frame('$gate/hello', 4), frame('a//b'));
    await turn();
    expect(errors()).toEqual(['3 BAD_TOPIC', '4 BAD_TOPIC', '0 BAD_TOPIC']);
    expect(host.routed).toEqual([]);
    expect(host.counters.get('frames_refused', 'BAD_TOPIC')).toBe(3);
  });

  it('closes with the tenth malformed frame, after having answered it', async () => {
    const { host, connection, errors, receive } = connect();
    for (let i = 0; i < 9; i++) receive(i % 2 ? '{' : '{"topic":5,"id":1}', frame('a'));
    await turn();
    expect(errors()).toEqual(Array.from({ length: 9 }, () => '0 BAD_FRAME'));
    expect(host.retired).toEqual([]);
    receive('x', frame('too/late'));
    expect(errors()).toHaveLength(10);
    expect(connection.acts.slice(-2)).toEqual(['write', `close ${CLOSE.policy.code} too many malformed frames`]);
    expect(host.retired).toEqual([`${CLOSE.policy.code} too many malformed frames`]);
    expect(host.routed).toEqual(Array.from({ length: 9 }, () => 'a'));
  });

  describe('over the message rate', () => {
    afterEach(() => {
      jest.useRealTimers();
    });

    it('refuses messages under their id, and closes after ten seconds of it', async () => {
      jest.useFakeTimers({ now: 1_000_000, doNotFake: ['queueMicrotask'] });
      const { host, connection, errors, receive } = connect({ messageRate: 1, concurrentTasks: 100 });
      receive(frame('a', 1), frame('b', 2), frame('c', 3), '{', frame('no such', 4));
      await turn();
      expect(host.routed).toEqual(['a#1', 'b#2']);
      expect(errors()).toEqual(['3 RATE_LIMITED', '0 RATE_LIMITED', '4 RATE_LIMITED']);
      for (let at = 0; at < 10_000; at += 100) {
        expect(host.retired).toEqual([]);
        receive(frame('d', 5));
        jest.advanceTimersByTime(100);
      }
      receive(frame('d', 5));
      expect(host.retired).toEqual([`${CLOSE.policy.code} message rate`]);
      expect(connection.acts.at(-1)).toBe(`close ${CLOSE.policy.code} message rate`);
    });

    it('counts pings too', async () => {
      jest.useFakeTimers({ now: 1_000_000, doNotFake: ['queueMicrotask'] });
      const { connection, receive } = connect({ messageRate: 1 });
      for (let i = 0; i < 3; i++) receive(frame('$gate/ping'));
      await turn();
      expect(connection.messages().map(({ topic }) => topic)).toEqual(['$gate/pong', '$gate/pong', '$gate/error']);
    });
  });
});

describe('ClientAgent: sending', () => {
  it('sends in order, merged into one write', async () => {
    const { agent, connection, push, pushed } = connect();
    expect(push('a')).toBe(true);
    agent.sendError(1, new GateError('NO_ROUTE').toBody(), 'x/y');
    expect(push('b')).toBe(true);
    await turn();
    expect(connection.acts).toEqual(['write']);
    expect(pushed()).toEqual(['a', 'b']);
    expect(connection.messages()[1]).toMatchObject({ id: 1, error: { code: 'NO_ROUTE' } });
    expect(agent.sendNum).toBe(3);
  });

  it('writes what has waited when the socket has drained', async () => {
    const { stick, flow, push, pushed } = connect();
    await stick();
    push('a');
    push('b');
    await turn();
    expect(pushed()).toEqual(['stuck']);
    flow();
    expect(pushed()).toEqual(['stuck', 'a', 'b']);
  });

  it('takes the largest push there is, in any encoding, with the default options', () => {
    for (const value of ['x'.repeat(MAX_PUSH_BYTES - 2), Buffer.alloc(MAX_PUSH_BYTES)]) {
      const { agent, host } = connect();
      const { topic, body } = encodeMessage('a/b', value);
      expect(agent.pushBody(topic, body)).toBe(true);
      expect(host.retired).toEqual([]);
    }
  });

  it('closes a client that does not read, with 1013', async () => {
    const { host, connection, stick, push } = connect({ sendPackBuffNum: 3 });
    await stick();
    expect([push('a'), push('b'), push('c'), push('d')]).toEqual([true, true, false, false]);
    expect(host.retired).toEqual([`${CLOSE.overloaded.code} slow reader`]);
    expect(connection.acts).toEqual(['write', `close ${CLOSE.overloaded.code} slow reader`]);
    expect(host.counters.get('packs_dropped', 'disconnect')).toBe(3);
    expect(host.counters.get('connections_closed', CLOSE.overloaded.code)).toBe(1);
  });

  it('may drop the newest instead', async () => {
    const { host, stick, flow, push, pushed } = connect({ sendPackBuffNum: 3, slowClientPolicy: 'drop-newest' });
    await stick();
    expect(['a', 'b', 'c', 'd'].map(push)).toEqual([true, true, false, false]);
    flow();
    expect(pushed()).toEqual(['stuck', 'a', 'b']);
    expect(host.counters.get('packs_dropped', 'drop-newest')).toBe(2);
    expect(host.retired).toEqual([]);
  });

  it('may drop the oldest instead', async () => {
    const { host, stick, flow, push, pushed } = connect({ sendPackBuffNum: 3, slowClientPolicy: 'drop-oldest' });
    await stick();
    expect(['a', 'b', 'c', 'd'].map(push)).toEqual([true, true, true, true]);
    flow();
    expect(pushed()).toEqual(['stuck', 'c', 'd']);
    expect(host.counters.get('packs_dropped', 'drop-oldest')).toBe(2);
    expect(host.retired).toEqual([]);
  });

  it('counts each pack that it drops, and each that it sends', async () => {
    const { agent, host, stick, flow, push, pushed } = connect({
      sendBuffBytes: 1_024,
      slowClientPolicy: 'drop-oldest',
    });
    await stick();
    for (const text of ['a', 'b', 'c']) push(text.repeat(200));
    const before = agent.sendNum;
    expect(push('d'.repeat(900))).toBe(true);
    expect(agent.sendNum).toBe(before + 1);
    flow();
    expect(pushed()).toEqual(['stuck', 'd'.repeat(900)]);
    expect(host.counters.get('packs_dropped', 'drop-oldest')).toBe(3);
  });

  it('does not claim to have taken what has no room even without the oldest', async () => {
    const { connection, stick, flow, push, pushed } = connect({
      sendBuffBytes: 1_024,
      slowClientPolicy: 'drop-oldest',
    });
    await stick();
    connection.writableLength = 1_000;
    expect(push('x'.repeat(500))).toBe(false);
    flow();
    expect(pushed()).toEqual(['stuck']);
  });
});

describe('ClientAgent: sending what is still being made', () => {
  const text = (body: string) =>
    Buffer.from(wire.push('p/p', { kind: BodyKind.json, bytes: Buffer.from(JSON.stringify(body)) }));

  it('lets nothing overtake it', async () => {
    const { agent, push, pushed } = connect();
    const first = deferred<Uint8Array | undefined>();
    const second = deferred<Uint8Array | undefined>();
    push('0');
    expect(agent.deferFrame(first.promise)).toBe(true);
    push('2');
    agent.deferFrame(second.promise);
    push('4');
    second.resolve(text('3'));
    await turns();
    expect(pushed()).toEqual(['0']);
    first.resolve(text('1'));
    await turns();
    expect(pushed()).toEqual(['0', '1', '2', '3', '4']);
    push('5');
    await turns();
    expect(pushed().at(-1)).toBe('5');
  });

  it('goes on without what is not made after all', async () => {
    const { agent, push, pushed } = connect();
    agent.deferFrame(Promise.resolve(undefined));
    agent.deferFrame(Promise.reject(new Error('no')));
    push('a');
    await turns();
    expect(pushed()).toEqual(['a']);
  });

  it.each(['deferred', 'ready'])('does not hold without end what is %s behind it', kind => {
    const { agent, host, push } = connect({ sendPackBuffNum: 3 });
    const never = deferred<Uint8Array | undefined>();
    agent.deferFrame(never.promise);
    for (let i = 0; i < 5; i++)
      if (kind === 'ready') push('x');
      else agent.deferFrame(never.promise);
    expect(host.retired).toEqual([`${CLOSE.overloaded.code} slow reader`]);
    // What waited, and what found no room any more.
    expect(host.counters.get('packs_dropped', 'disconnect')).toBe(4);
  });

  it('is sent before the close frame, as everything that was queued', async () => {
    const { agent, connection, push, pushed } = connect();
    const making = deferred<Uint8Array | undefined>();
    agent.deferFrame(making.promise);
    expect(push('last words')).toBe(true);
    agent.close(4002, 'bye');
    making.resolve(text('first words'));
    await turns();
    expect(pushed()).toEqual(['first words', 'last words']);
    expect(connection.acts.at(-1)).toBe('close 4002 bye');
  });
});

describe('ClientAgent: what is thrown where nobody can catch it', () => {
  it.each(['poison/early', 'poison/late'])(
    'on the way of a frame (%s) ends that frame, and returns its credit',
    async topic => {
      const { host, agent, connection, receive } = connect({ concurrentTasks: 1 });
      receive(frame(topic, 7));
      receive(frame(topic));
      receive(frame('a', 8));
      await turn();
      expect(connection.messages()).toEqual([
        { id: 7, error: expect.objectContaining({ code: 'INTERNAL' }) },
        { topic: '$gate/error', body: expect.objectContaining({ code: 'INTERNAL', topic }) },
      ]);
      expect([host.routed, agent.unansweredCount, agent.isClosed]).toEqual([['a#8'], 1, false]);
      expect(host.defects).toEqual(['frame', 'frame']);
      expect(host.counters.get('frames_refused', 'INTERNAL')).toBe(2);
    },
  );

  it('on the way of a frame that was held does not keep back those behind it', () => {
    const { host, agent, receive } = connect({ concurrentTasks: 1 });
    agent.block();
    receive(frame('poison/early', 1), frame('b', 2));
    agent.unblock();
    expect([host.routed, host.defects]).toEqual([['b#2'], ['frame']]);
  });

  it('by the rest of the gate when a client leaves keeps its connection from nothing', () => {
    const { host, agent, connection } = connect();
    agent.close(4000, 'poison');
    expect([host.defects, connection.acts, agent.isClosed]).toEqual([['retire'], ['close 4000 poison'], true]);
  });

  it('by the connection when it is closed cuts it', () => {
    const { host, agent, connection } = connect();
    connection.close = () => {
      throw new Error('poison');
    };
    agent.close(4000, 'bye');
    expect([host.defects, connection.acts, host.closeTimeout]).toEqual([['close'], ['destroy'], undefined]);
  });

  it('by a write closes that connection', async () => {
    const { host, agent, connection, push } = connect();
    const write = connection.write.bind(connection);
    connection.write = () => {
      connection.write = write;
      throw new Error('poison');
    };
    push('a');
    await turn();
    expect(host.defects).toEqual(['write']);
    expect(host.retired).toEqual([`${CLOSE.internal.code} ${CLOSE.internal.reason}`]);
    expect([connection.acts, agent.isClosed]).toEqual([
      [`close ${CLOSE.internal.code} ${CLOSE.internal.reason}`],
      true,
    ]);
  });
});

describe('ClientAgent: closing', () => {
  it('sends what is queued first', () => {
    const { host, agent, connection, push, pushed } = connect();
    push('a');
    push('b');
    agent.close(4002, 'bye');
    expect(connection.acts).toEqual(['write', 'close 4002 bye']);
    expect(pushed()).toEqual(['a', 'b']);
    expect(host.retired).toEqual(['4002 bye']);
    expect(host.closeTimeout).toBeUndefined();
    expect(host.counters.get('connections_closed', 4002)).toBe(1);
    expect([agent.isClosed, agent.isGone]).toEqual([true, false]);
  });

  it('delays its close frame until the socket has taken what is queued', async () => {
    const { host, agent, connection, stick, flow, push, pushed } = connect();
    await stick();
    push('a');
    agent.close(4002, 'bye');
    expect(connection.acts).toEqual(['write']);
    expect(host.retired).toEqual(['4002 bye']);
    flow();
    expect(connection.acts).toEqual(['write', 'write', 'close 4002 bye']);
    expect(pushed()).toEqual(['stuck', 'a']);
    expect(host.closeTimeout).toBeUndefined();
  });

  it('cuts off a client that does not read what is queued for it in time', async () => {
    const { host, agent, connection, stick, push } = connect();
    await stick();
    push('a');
    agent.close(4002, 'bye');
    host.closeTimeout?.();
    expect(connection.acts).toEqual(['write', 'destroy']);
    agent.onClose(1006, '');
    expect(host.closeTimeout).toBeUndefined();
    expect(host.retired).toEqual(['4002 bye']);
    expect(host.counters.get('packs_dropped', 'closed')).toBe(1);
    expect(agent.isGone).toBe(true);
  });

  it('lets a paused socket flow, for the answer to its close frame', () => {
    const { agent, connection, receive } = connect({ concurrentTasks: 1 });
    receive(frame('a'), frame('b'));
    expect(connection.paused).toBe(true);
    agent.close(4002, 'bye');
    expect(connection.paused).toBe(false);
  });

  it('takes and sends nothing more', async () => {
    const { host, agent, connection, receive, push } = connect({ concurrentTasks: 1 });
    receive(frame('a', 1), frame('held'));
    agent.close(4002, 'bye');
    receive(frame('late'));
    agent.endRequest(1);
    agent.close(4000, 'again');
    agent.destroy(4001, 'again');
    expect(push('late')).toBe(false);
    agent.sendError(1, new GateError('TIMEOUT').toBody());
    await turn();
    expect(host.routed).toEqual(['a#1']);
    expect(host.retired).toEqual(['4002 bye']);
    expect(connection.messages()).toEqual([]);
    expect(connection.acts).toEqual(['close 4002 bye', 'destroy']);
  });

  it('is cut off at once when it is destroyed', async () => {
    const { host, agent, connection, stick, push, pushed } = connect();
    await stick();
    push('a');
    agent.destroy(4002, 'bye');
    expect(connection.acts).toEqual(['write', 'destroy']);
    agent.onClose(1006, '');
    agent.close(4000, 'again');
    expect(host.retired).toEqual(['4002 bye']);
    expect(host.counters.snapshot()).toEqual({ connections_closed: { 4002: 1 }, packs_dropped: { closed: 1 } });
    expect(pushed()).toEqual(['stuck']);
  });

  it('retires when the client goes, and counts what it did not get', async () => {
    const { host, agent, connection, receive, stick, push } = connect({ concurrentTasks: 1 });
    receive(frame('a', 1), frame('held'));
    await stick();
    push('x');
    push('y');
    agent.onClose(1001, 'gone');
    agent.endRequest(1);
    receive(frame('late'));
    expect(host.retired).toEqual(['1001 gone']);
    expect(host.counters.snapshot()).toMatchObject({ packs_dropped: { closed: 2 } });
    expect(host.routed).toEqual(['a#1']);
    expect(push('z')).toBe(false);
    expect(connection.acts).toEqual(['write']);
  });

  it('answers a client that sends nothing more, before it closes', () => {
    const { host, agent, receive } = connect({ concurrentTasks: 1 });
    agent.block();
    receive(frame('a', 1), frame('b', 2));
    agent.onHalfClose();
    agent.unblock();
    expect(host.routed).toEqual(['a#1']);
    agent.endRequest(1);
    expect(host.routed).toEqual(['a#1', 'b#2']);
    expect(host.retired).toEqual([]);
    agent.endRequest(2);
    expect(host.retired).toEqual([`${CLOSE.goingAway.code} ${CLOSE.goingAway.reason}`]);
  });

  it('closes when a client sends nothing more, as soon as nothing holds it', () => {
    const { host, agent } = connect();
    agent.block();
    agent.onHalfClose();
    expect(host.retired).toEqual([]);
    agent.unblock();
    expect(host.retired).toEqual([`${CLOSE.goingAway.code} ${CLOSE.goingAway.reason}`]);
  });

  it('retires at once, without a close frame, when the connection is already closing', async () => {
    const { host, agent, connection, stick, push } = connect();
    await stick();
    push('a');
    agent.onBroken(1007, 'bad UTF-8');
    agent.close(4000, 'again');
    expect(push('late')).toBe(false);
    agent.onClose(1006, '');
    expect(host.retired).toEqual(['1007 bad UTF-8']);
    expect(host.counters.snapshot()).toEqual({ connections_closed: { 1007: 1 }, packs_dropped: { closed: 1 } });
    expect(connection.acts).toEqual(['write']);
  });

  it.each([1004, 1005, 1006, 1015, 999, 2999, 5000, 4000.5, NaN, '4000', null])(
    'refuses the close code %s before anything changes',
    async code => {
      const { host, agent, connection, stick, push } = connect();
      await stick();
      push('a');
      expect(() => agent.close(code as number, 'bye')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
      expect(() => agent.destroy(code as number, 'bye')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
      expect(() => agent.close(4000, 7 as never)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
      expect([agent.isClosed, agent.error, host.retired, connection.acts]).toEqual([false, undefined, [], ['write']]);
      agent.close(4000, 'bye');
      expect(host.retired).toEqual(['4000 bye']);
    },
  );

  it('cuts a reason that a close frame has no room for', () => {
    const { host, agent, connection } = connect();
    agent.close(4000, 'ä'.repeat(100));
    expect(connection.acts).toEqual([`close 4000 ${'ä'.repeat(61)}`]);
    expect(host.retired).toEqual([`4000 ${'ä'.repeat(61)}`]);
  });

  it('closes on a violation of the connection', () => {
    const { agent, connection } = connect();
    agent.onViolation(1003, 'text frames only');
    expect(connection.acts).toEqual(['close 1003 text frames only']);
  });
});
