import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import { type Body, BodyKind } from '@nestgate/protocol';
import { encodeBody } from '@nestgate/worker/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { UsualTapRedactor } from '../hooks/tap-redactor.js';
import type { Hub } from '../hub/hub.js';
import type { Wire } from '../codec/wire.js';
import { SessionTaps } from './session-taps.js';

const NONE = Buffer.alloc(0);

/** A wire that makes frames of ten bytes, and reads what {@link read} says. */
function wireOf(read: object): Wire {
  const frame = Buffer.alloc(10);
  const make = (): Buffer => frame;
  const wire = { codec: 'own', pushesResults: false, frame: read, decode: () => undefined };
  return { ...wire, hello: make, push: make, reply: make, error: make, pong: make } as unknown as Wire;
}

describe('SessionTaps', () => {
  let taps: SessionTaps;
  let agent: ClientAgent & { isClosed: boolean };
  let frame: { topic: string; body: Body; id: number };
  let wire: Wire;
  const defects: unknown[] = [];
  const counters = new GateCounters();

  beforeEach(() => {
    jest.useFakeTimers({ now: 1_000_000, doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    frame = { topic: 'chat/say', body: encodeBody({ n: 1 }), id: 1 };
    wire = wireOf(frame);
    agent = {
      wire,
      isClosed: false,
      sessionState: { userId: 'ann', origin: { sessionId: 'c' } },
      replaceWire(other: Wire) {
        (this as { wire: Wire }).wire = other;
      },
    } as unknown as typeof agent;
    const node = { reportDefect: (error: unknown) => void defects.push(error) } as unknown as LinkNode;
    const hub = { get: () => agent } as unknown as Hub;
    taps = new SessionTaps(node, hub, counters, new UsualTapRedactor());
  });
  afterEach(() => {
    taps.onApplicationShutdown();
    jest.useRealTimers();
  });

  it('ends after a minute, and gives the wire back', () => {
    let { cursor } = taps.begin('c', undefined, 'w');
    for (let second = 10; second < 60; second += 10) {
      jest.advanceTimersByTime(10_000);
      const answer = taps.next(cursor);
      expect([answer.isOver, answer.endsInMs]).toEqual([false, 60_000 - second * 1_000]);
      ({ cursor } = answer);
    }
    jest.advanceTimersByTime(10_100);
    expect(taps.next(cursor)).toMatchObject({ isOver: true, frames: [] });
    expect(agent.wire).toBe(wire);
  });

  it('ends when nobody has read it for 15 s', () => {
    const { cursor } = taps.begin('c', undefined, 'w');
    jest.advanceTimersByTime(14_900);
    expect(agent.wire).not.toBe(wire);
    jest.advanceTimersByTime(200);
    expect(agent.wire).toBe(wire);
    expect(taps.next(cursor).isOver).toBe(true);
  });

  it('leaves the wire to the others that still listen', () => {
    taps.begin('c', undefined, 'one');
    jest.advanceTimersByTime(10_000);
    const other = taps.begin('c', undefined, 'other');
    jest.advanceTimersByTime(5_100);
    agent.wire.decode(NONE);
    expect(taps.next(other.cursor).frames).toHaveLength(1);
    agent.isClosed = true;
    expect(taps.next(other.cursor)).toMatchObject({ isOver: true });
    expect(agent.wire).toBe(wire);
  });

  it('records 50 frames a second, and keeps 500; the others are counted', () => {
    const { cursor } = taps.begin('c', undefined, 'w');
    for (let second = 0; second < 12; second++) {
      for (let n = 0; n < 60; n++) agent.wire.decode(NONE);
      jest.advanceTimersByTime(1_000);
    }
    const answer = taps.next(cursor);
    expect([answer.frames.length, answer.skipped]).toEqual([500, 220]);
    expect(answer.frames.at(-1)?.n).toBe(600);
    expect(taps.next(answer.cursor).frames).toEqual([]);
  });

  it.each<[body: Body, shown: string | undefined]>([
    [encodeBody(undefined), undefined],
    [encodeBody('x'), '"x"'],
    [
      encodeBody({ a: { token: 't', Authorization: 1, tokens: 3 } }),
      '{"a":{"token":"[hidden]","Authorization":"[hidden]","tokens":"[hidden]"}}',
    ],
    [
      encodeBody({ pin: 1, spin: 2, passport: 3, apiKey: 4 }),
      '{"pin":"[hidden]","spin":2,"passport":3,"apiKey":"[hidden]"}',
    ],
    [encodeBody(Buffer.alloc(7)), '[7 bytes]'],
    [encodeBody('x'.repeat(70_000)), '[70002 bytes]'],
    [{ kind: BodyKind.json, bytes: Buffer.from('{"a":') }, '[malformed]'],
  ])('%# shows a body', (body, shown) => {
    const { cursor } = taps.begin('c', undefined, 'w');
    frame.body = body;
    agent.wire.decode(NONE);
    expect(taps.next(cursor).frames.map(each => each.body)).toEqual([shown]);
  });

  it('knows the topic of an answer from its request, of the last 256', () => {
    const { cursor } = taps.begin('c', undefined, 'w');
    agent.wire.decode(NONE);
    agent.wire.reply(1, frame.body);
    agent.wire.reply(1, frame.body);
    expect(taps.next(cursor).frames.map(({ topic }) => topic)).toEqual(['chat/say', 'chat/say', undefined]);
  });

  it('by topic: gives all wires back when nobody has read it for 15 s', () => {
    const others = Array.from({ length: 3 }, () => Object.assign(Object.create(agent) as typeof agent, { wire }));
    const hub = { get: () => agent, all: () => others.values(), size: 3 } as unknown as Hub;
    const node = { reportDefect: (error: unknown) => void defects.push(error) } as unknown as LinkNode;
    const byTopic = new SessionTaps(node, hub, counters, new UsualTapRedactor());
    expect(byTopic.beginTopic('id', 'chat', 'w')).toMatchObject({ tapped: 3, clients: 3, isOver: false });
    expect(others.every(each => each.wire !== wire)).toBe(true);
    others[1]?.wire.decode(NONE);
    expect(byTopic.nextOfTopic('id').frames).toMatchObject([{ n: 1, clientId: 'c' }]);
    expect(byTopic.nextOfTopic('id').frames).toEqual([]);
    jest.advanceTimersByTime(15_100);
    expect(others.every(each => each.wire === wire)).toBe(true);
    expect(byTopic.nextOfTopic('id')).toMatchObject({ isOver: true, tapped: 0 });
    byTopic.onApplicationShutdown();
  });
});
