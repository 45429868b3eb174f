import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type AgentHost, ClientAgent } from '../client/client-agent.js';
import type { Connection } from '../connection/connection.js';
import { DrainQueue } from '../client/drain-queue.js';
import { JsonWsWire } from '../codec/json-ws-wire.js';
import { GateCounters } from '../gate-counters.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { SessionState } from '../session/session-state.js';
import { Heartbeat } from './heartbeat.js';

const START = 1_000_000;
/** When the test began, of `performance.now()`. */
let started = 0;
/** A client is looked at every fifth of the shorter time: so late may a ping or an end be. */
const ROUND = 200;

class FakeConnection implements Connection {
  readonly network = 'ws';
  readonly ip = '127.0.0.1';
  bytesRead = 0;
  writableLength = 0;
  takenBytes = 0;
  /** When it was pinged, since the start. */
  readonly pings: number[] = [];

  awaitDrain(): void {}

  ping(): void {
    this.pings.push(performance.now() - started);
  }

  write(): void {}
  pause(): void {}
  resume(): void {}
  close(): void {}
  destroy(): void {}
}

describe('Heartbeat', () => {
  const host: AgentHost = {
    options: resolveGateOptions({ concurrentTasks: 1 }),
    counters: new GateCounters(),
    drainQueue: new DrainQueue(),
    sessionOf: () => {
      throw new Error('Nobody asks for a session here');
    },
    take: agent => agent.beginRequest(0),
    retire: () => undefined,
    afterCloseTimeout: () => () => undefined,
    reportDefect: () => undefined,
  };
  const wire = new JsonWsWire(32);
  let heartbeat: Heartbeat;
  /** Who has ended, and when, since the start. */
  let dead: [serial: number, at: number][];

  beforeEach(() => {
    jest.useFakeTimers({ now: START });
    started = performance.now();
    dead = [];
    heartbeat = new Heartbeat({ pingInterval: 1_000, heartOverTimer: 3_000 }, agent => {
      dead.push([agent.serial, performance.now() - started]);
      heartbeat.remove(agent);
    });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function connect(serial: number): [ClientAgent, FakeConnection] {
    const connection = new FakeConnection();
    const origin = {
      sessionId: `g.e.${serial}`,
      serverId: 'g',
      ip: '::1',
      network: 'ws',
      connectedAt: START,
      traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    };
    const agent = new ClientAgent(host, serial, new SessionState(origin, 100), connection, wire);
    heartbeat.add(agent);
    return [agent, connection];
  }

  /** Lets time pass, in which the client sends something every `everyMs`. */
  function live(connection: FakeConnection, everyMs: number, forMs: number): void {
    for (let at = 0; at < forMs; at += everyMs) {
      connection.bytesRead += 2;
      jest.advanceTimersByTime(everyMs);
    }
  }

  it('ends a client that has been silent for too long, once, and not before', () => {
    for (let serial = 1; serial <= 20; serial++) connect(serial);
    jest.advanceTimersByTime(2_999);
    expect(dead).toEqual([]);
    jest.advanceTimersByTime(10_000);
    expect(dead.map(([serial]) => serial).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    for (const [, at] of dead) expect(at).toBeLessThanOrEqual(3_000 + ROUND + 20);
  });

  it('lets a client live that sends anything', () => {
    const [, connection] = connect(1);
    live(connection, 2_500, 20_000);
    expect(dead).toEqual([]);
    jest.advanceTimersByTime(5_000);
    expect(dead).toHaveLength(1);
  });

  it('pings at its interval, but does not take the ping for a sign of life', () => {
    const [, connection] = connect(1);
    jest.advanceTimersByTime(5_000);
    expect(connection.pings).toHaveLength(2);
    let last = 0;
    for (const at of connection.pings) {
      expect(at - last).toBeGreaterThanOrEqual(1_000);
      expect(at - last).toBeLessThanOrEqual(1_000 + ROUND + 20);
      last = at;
    }
    expect(dead).toHaveLength(1);
  });

  it('pings behind a full socket too: who reads slowly, but reads, is alive', () => {
    const [, connection] = connect(1);
    connection.writableLength = 1;
    live(connection, 100, 5_000);
    expect(connection.pings.length).toBeGreaterThan(2);
    expect(dead).toEqual([]);
  });

  it('does not blame a client that the gate itself does not read', () => {
    const [agent] = connect(1);
    const frame = Buffer.from('{"topic":"a/b"}');
    agent.onFrame(frame);
    agent.onFrame(frame);
    jest.advanceTimersByTime(60_000);
    expect(dead).toEqual([]);
    agent.endRequest(0);
    agent.endRequest(0);
    jest.advanceTimersByTime(2_700);
    expect(dead).toEqual([]);
    jest.advanceTimersByTime(1_000);
    expect(dead).toHaveLength(1);
  });

  it('forgets a client that was removed, and runs no timer without clients', () => {
    const [one, oneConnection] = connect(1);
    const [two] = connect(17);
    heartbeat.remove(one);
    heartbeat.remove(one);
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(1_500);
    expect(oneConnection.pings).toEqual([]);
    heartbeat.remove(two);
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(10_000);
    expect(dead).toEqual([]);
  });

  it('begins again with the next client', () => {
    const [agent] = connect(1);
    heartbeat.remove(agent);
    connect(2);
    jest.advanceTimersByTime(3_500);
    expect(dead.map(([serial]) => serial)).toEqual([2]);
  });

  it('closes nobody because the process was stopped for longer than a client may be silent', () => {
    const [, connection] = connect(1);
    live(connection, 500, 2_000);
    const real = performance.now.bind(performance);
    jest.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000);
    jest.advanceTimersByTime(1_000);
    expect(dead).toEqual([]);
    jest.advanceTimersByTime(2_500);
    jest.restoreAllMocks();
    expect(dead).toHaveLength(1);
  });

  it.each([3_600_000, -3_600_000])('pings and closes as before when the wall clock is set by %d ms', change => {
    const [, connection] = connect(1);
    jest.setSystemTime(Date.now() + change);
    live(connection, 100, 5_000);
    expect(dead).toEqual([]);
    expect(connection.pings.length).toBeGreaterThanOrEqual(4);
    jest.advanceTimersByTime(3_500);
    expect(dead).toHaveLength(1);
  });

  it.each([
    { pingInterval: 50, heartOverTimer: 2_000, late: 30 },
    { pingInterval: 3_600_000, heartOverTimer: 100, late: 40 },
    { pingInterval: 3_600_000, heartOverTimer: 3_600_000, late: 5_020 },
  ])('keeps its times with $pingInterval and $heartOverTimer ms', ({ pingInterval, heartOverTimer, late }) => {
    const ends: number[] = [];
    heartbeat = new Heartbeat({ pingInterval, heartOverTimer }, agent => {
      ends.push(performance.now() - started);
      heartbeat.remove(agent);
    });
    const [, { pings }] = connect(1);
    jest.advanceTimersByTime(heartOverTimer - 1);
    expect(ends).toEqual([]);
    expect(pings.length).toBeGreaterThanOrEqual(Math.floor(heartOverTimer / (pingInterval + late)));
    expect(pings.length).toBeLessThanOrEqual(heartOverTimer / pingInterval);
    jest.advanceTimersByTime(late + 1);
    expect(ends).toHaveLength(1);
  });
});
