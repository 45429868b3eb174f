import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { type ClientMessage, type Peer, PendingCall, sessionContract, topicContract } from '@nestgate/link/internal';
import { type Body, GateError } from '@nestgate/protocol';
import { encodeBody } from '../../message/message.js';
import { TopicHandler } from '../handler/topic-handler.js';
import { TopicRunner } from './topic-runner.js';

const NODE = { epoch: 'e1', modules: [], draining: false };

describe('a worker that has stood still', () => {
  let bus: MemoryBus;
  let gates: LinkNode[];
  let node: LinkNode;
  let runner: TopicRunner;
  let clock: number;
  let started: string[];
  let release: (() => void) | undefined;
  /** How the gates answer, when they are asked whether they still count on the worker. */
  let answer: () => Promise<void>;

  beforeEach(async () => {
    clock = 0;
    // Whole, so that sums and differences are exact.
    const start = Math.floor(performance.now());
    jest.spyOn(performance, 'now').mockImplementation(() => start + clock);
    bus = new MemoryBus();
    node = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    started = [];
    const handler = (payload: unknown): unknown => {
      started.push(String(payload));
      return payload === 'first' ? new Promise<void>(resolve => (release = resolve)) : payload;
    };
    const handlers = ['in/turn', 'in/parallel'].map(
      topic =>
        [
          topic,
          new TopicHandler(async payload => handler(payload), { topic, concurrent: topic === 'in/parallel' }),
        ] as const,
    );
    runner = new TopicRunner(node, new Map(handlers));
    node.dispatcher.serve(topicContract, {
      message: (message, call) => runner.accept(message, call),
      update: () => undefined,
      forget: ({ serial }, call) => runner.forget(call.peer, serial),
    });
    node.onPeer(change => {
      if ('id' in change) runner.forgetPeer(change.id);
    });
    answer = () => Promise.resolve();
    gates = [];
    for (const id of ['g1', 'g2']) {
      const gate = new LinkNode({ link: bus.link(), self: { ...NODE, id, role: 'gate' } });
      gate.dispatcher.serve({ sync: sessionContract.sync }, { sync: () => answer() });
      await gate.open();
      gates.push(gate);
    }
    await node.open();
    runner.lease.start();
  });
  afterEach(async () => {
    runner.lease.stop();
    for (const each of [...gates, node]) await each.close();
    jest.restoreAllMocks();
  });

  /** Sends a frame as a gate does. Resolves with `done`, or the code of the error. */
  function ask(text: string, { gate = 0, topic = 'in/turn', client = 1 } = {}): Promise<string> {
    const from = gates[gate] as LinkNode;
    const pending = new PendingCall<ClientMessage, Body>(topicContract.message);
    const message = { serial: client, topic, body: encodeBody(text), wantsResult: true, session: undefined };
    (from.peers.get('w1') as Peer).request(topicContract.message, message, pending, performance.now() + 30_000);
    return pending.promise.then(
      () => 'done',
      (error: unknown) => (error as GateError).code,
    );
  }

  /** Has the gates answer when the returned function is called. */
  function answerLater(): () => void {
    const settles: (() => void)[] = [];
    answer = () => new Promise(resolve => settles.push(resolve));
    return () => settles.forEach(settle => settle());
  }

  /** Lets everything go its way for which no time has to pass. */
  async function turns(): Promise<void> {
    for (let i = 0; i < 8; i++) await new Promise(resolve => setImmediate(resolve));
  }

  it.each([2_000, 1_999])('starts what comes after a pause of %d ms, which nobody takes for its death', async pause => {
    answer = () => new Promise(() => undefined);
    clock += pause;
    expect(await ask('next')).toBe('done');
  });

  it.each(['in/turn', 'in/parallel'])('holds what comes on %s until its gate has answered', async topic => {
    const settle = answerLater();
    clock += 2_001;
    const asked = ask('next', { topic });
    await turns();
    expect(started).toEqual([]);
    settle();
    expect(await asked).toBe('done');
    expect(await ask('last')).toBe('done');
    expect(started).toEqual(['next', 'last']);
  });

  it('holds what has waited behind a frame that ends now, and keeps its order', async () => {
    const settle = answerLater();
    const asked = [ask('first'), ask('second')];
    await turns();
    expect(started).toEqual(['first']);
    clock += 6_000;
    release?.();
    await turns();
    asked.push(ask('third'));
    await turns();
    expect(started).toEqual(['first']);
    settle();
    expect(await Promise.all(asked)).toEqual(['done', 'done', 'done']);
    expect(started).toEqual(['first', 'second', 'third']);
  });

  it('starts nothing for a gate that has given it up, and goes on for the other', async () => {
    answer = () => new Promise(() => undefined);
    const lost = [ask('first'), ask('second')];
    await turns();
    clock += 6_000;
    release?.();
    lost.push(ask('third', { client: 2 }));
    await turns();
    answer = () => Promise.resolve();
    await gates[0]?.close();
    expect(await Promise.all(lost)).toEqual(['done', 'LINK_CLOSED', 'LINK_CLOSED']);
    await turns();
    expect(started).toEqual(['first']);
    const idle = jest.fn();
    void runner.whenIdle(60_000).then(idle);
    await turns();
    expect(idle).toHaveBeenCalled();
  });

  it('tells a gate that does not answer that its frames are lost', async () => {
    answer = () => Promise.reject(new GateError('INTERNAL'));
    clock += 6_000;
    expect(await Promise.all([ask('a'), ask('b', { gate: 1 })])).toEqual(['NODE_LOST', 'NODE_LOST']);
    expect(started).toEqual([]);
    expect(await ask('next')).toBe('done');
  });

  it('ends the frames that were held for a client that has left meanwhile', async () => {
    const settle = answerLater();
    clock += 6_000;
    const asked = ask('next');
    await turns();
    gates[0]?.peers.get('w1')?.notify(topicContract.forget, { serial: 1 });
    await turns();
    settle();
    expect(await asked).toBe('done');
  });
});

describe('a worker whose gate is gone', () => {
  it('does not start what waits for the clients of that gate', async () => {
    const bus = new MemoryBus();
    const gate = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'g1', role: 'gate' } });
    const node = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    const started: unknown[] = [];
    let release = (): void => undefined;
    const handler = (payload: unknown): Promise<void> => {
      started.push(payload);
      return new Promise(resolve => (release = resolve));
    };
    const runner = new TopicRunner(node, new Map([['a/b', new TopicHandler(handler, { topic: 'a/b' })]]));
    node.dispatcher.serve(topicContract, {
      message: (message, call) => runner.accept(message, call),
      update: () => undefined,
      forget: () => undefined,
    });
    await gate.open();
    await node.open();
    for (const text of ['first', 'second']) {
      const message = { serial: 1, topic: 'a/b', body: encodeBody(text), wantsResult: true, session: undefined };
      const pending = new PendingCall<ClientMessage, Body>(topicContract.message);
      pending.promise.catch(() => undefined);
      (gate.peers.get('w1') as Peer).request(topicContract.message, message, pending, performance.now() + 30_000);
    }
    for (let i = 0; i < 4; i++) await new Promise(resolve => setImmediate(resolve));
    runner.forgetPeer('g1');
    release();
    await runner.whenIdle(1_000);
    expect(started).toEqual(['first']);
    await gate.close();
    await node.close();
  });
});
