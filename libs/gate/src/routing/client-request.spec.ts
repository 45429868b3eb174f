import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import {
  type ClientMessage,
  type IncomingCall,
  MALFORMED_BODY,
  type Peer,
  topicContract,
} from '@nestgate/link/internal';
import { type Body, BodyKind, GateError, NO_BODY } from '@nestgate/protocol';
import { type AgentHost, ClientAgent } from '../client/client-agent.js';
import type { Connection } from '../connection/connection.js';
import { DrainQueue } from '../client/drain-queue.js';
import { JsonWsWire } from '../codec/json-ws-wire.js';
import { GateCounters } from '../gate-counters.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { SessionState } from '../session/session-state.js';
import { ClientRequest } from './client-request.js';

const NODE = { epoch: 'e1', modules: [], draining: false };

describe('ClientRequest', () => {
  let gate: LinkNode;
  let worker: LinkNode;
  let agent: ClientAgent;
  /** What the client was sent. */
  let written: string;
  /** The frame as the worker got it. */
  let call: IncomingCall;

  beforeEach(async () => {
    const bus = new MemoryBus();
    gate = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'g1', role: 'gate' } });
    worker = new LinkNode({ link: bus.link(), self: { ...NODE, id: 'w1', role: 'worker' } });
    const { message } = topicContract;
    worker.dispatcher.serve({ message }, { message: (_message, incoming) => (call = incoming) });
    await gate.open();
    await worker.open();

    written = '';
    const host: AgentHost = {
      options: resolveGateOptions(),
      counters: new GateCounters(),
      drainQueue: new DrainQueue(),
      sessionOf: () => {
        throw new Error('Nobody asks for a session here');
      },
      take: () => undefined,
      retire: () => undefined,
      afterCloseTimeout: () => () => undefined,
      reportDefect: () => undefined,
    };
    const nothing = (): void => undefined;
    const connection: Connection = {
      network: 'ws',
      ip: '::1',
      bytesRead: 0,
      writableLength: 0,
      takenBytes: 0,
      write: data => (written += Buffer.from(data).toString('latin1')),
      awaitDrain: () => undefined,
      ping: nothing,
      pause: nothing,
      resume: nothing,
      close: nothing,
      destroy: nothing,
    };
    const origin = {
      sessionId: 'g1.e1.1',
      serverId: 'g1',
      ip: '::1',
      network: 'ws',
      connectedAt: 0,
      traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    };
    agent = new ClientAgent(host, 1, new SessionState(origin, 100), connection, new JsonWsWire(32));
  });
  afterEach(async () => {
    jest.useRealTimers();
    await gate.close();
    await worker.close();
  });

  async function turns(): Promise<void> {
    for (let i = 0; i < 4; i++) await new Promise(resolve => setImmediate(resolve));
  }

  /** Begins a request as the router does, and lets it reach the worker. */
  async function send(id: number): Promise<void> {
    const message: ClientMessage = { serial: 1, topic: 'a/b', body: NO_BODY, wantsResult: id > 0, session: undefined };
    agent.beginRequest(id);
    const request = new ClientRequest(agent, 'a/b', id);
    (gate.peers.get('w1') as Peer).request(topicContract.message, message, request, performance.now() + 1_000);
    await turns();
  }

  function reply(body: Body): void {
    call.peer.reply(call, topicContract.message, body);
  }

  function fail(code: string, message?: string): void {
    call.peer.fail(call, new GateError(code, message, { why: 1 }));
  }

  /** The frames that the client was sent, without their headers. */
  function frames(): unknown[] {
    return (written.match(/\{.*?\}(?=\x81|$)/gs) ?? []).map(frame => JSON.parse(frame) as unknown);
  }

  it('answers with the result, and gives the credit back', async () => {
    await send(7);
    expect(agent.unansweredCount).toBe(1);
    reply({ kind: BodyKind.json, bytes: Buffer.from('[1]') });
    await turns();
    expect(frames()).toEqual([{ id: 7, body: [1] }]);
    expect([agent.unansweredCount, gate.waitingCount]).toEqual([0, 0]);
  });

  it('keeps the result to itself when nobody asked for it', async () => {
    await send(0);
    reply({ kind: BodyKind.json, bytes: Buffer.from('[1]') });
    await turns();
    expect(frames()).toEqual([]);
    expect(agent.unansweredCount).toBe(0);
  });

  it('tells what the handler has failed with', async () => {
    await send(7);
    fail('ROOM_FULL', 'full');
    await turns();
    expect(frames()).toEqual([{ id: 7, error: { code: 'ROOM_FULL', message: 'full', details: { why: 1 } } }]);
    await send(0);
    fail('ROOM_FULL', 'full');
    await turns();
    expect(frames()[1]).toEqual({
      topic: '$gate/error',
      body: { code: 'ROOM_FULL', message: 'full', details: { why: 1 }, topic: 'a/b' },
    });
    expect(agent.unansweredCount).toBe(0);
  });

  it.each([
    ['UNKNOWN_OPERATION', 'WORKER_LOST'],
    ['LINK_CORRUPT', 'WORKER_LOST'],
    ['LINK_UNAVAILABLE', 'NO_WORKER'],
    ['NO_HANDLER', 'NO_HANDLER'],
  ])('reports %s as %s', async (code, told) => {
    await send(7);
    fail(code);
    await turns();
    expect(frames()).toMatchObject([{ id: 7, error: { code: told } }]);
  });

  it('is lost with its worker', async () => {
    await send(7);
    await worker.close();
    await turns();
    expect(frames()).toMatchObject([{ id: 7, error: { code: 'WORKER_LOST' } }]);
    expect(agent.unansweredCount).toBe(0);
  });

  it('turns out to have been no frame', async () => {
    await send(7);
    fail(MALFORMED_BODY);
    await turns();
    expect(frames()).toMatchObject([{ topic: '$gate/error', body: { code: 'BAD_FRAME' } }]);
    expect(agent.unansweredCount).toBe(0);
  });

  it.each(['a result', 'an error'])('ends at its deadline, once, although %s comes later', async what => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
    await send(7);
    jest.advanceTimersByTime(1_100);
    expect(agent.unansweredCount).toBe(0);
    if (what === 'an error') fail('ROOM_FULL');
    else reply(NO_BODY);
    await turns();
    expect(frames()).toMatchObject([{ id: 7, error: { code: 'TIMEOUT' } }]);
    expect(agent.unansweredCount).toBe(0);
    expect([gate.counters.late, gate.waitingCount]).toEqual([1, 0]);
  });
});
