import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import { ResumableConnection } from '../resume/resumable-connection.js';
import { ClientMoves } from './client-moves.js';

/** A session, with what moving it looks at. */
function session(state: Partial<Record<'isWelcomed' | 'isAway' | 'isHandedOver', boolean>> = {}) {
  const connection = Object.create(ResumableConnection.prototype, {
    isMoving: { value: false, writable: true },
    asked: { value: [], writable: true },
    askToMove: {
      value(this: { isMoving: boolean; asked: number[] }, withinMs: number) {
        this.isMoving = true;
        this.asked.push(withinMs);
      },
      writable: true,
    },
    ...Object.fromEntries(
      Object.entries({ isWelcomed: true, isAway: false, isHandedOver: false, ...state }).map(([key, value]) => [
        key,
        { value, writable: true },
      ]),
    ),
  }) as { isMoving: boolean; asked: number[]; askToMove: (withinMs: number) => void };
  return connection;
}

describe('ClientMoves', () => {
  let connections: ReturnType<typeof session>[];
  let moves: ClientMoves;
  let counters: GateCounters;
  let defects: unknown[];
  const asked = (): number => connections.filter(each => each.asked.length > 0).length;

  beforeEach(() => {
    jest.useFakeTimers();
    connections = [];
    defects = [];
    counters = new GateCounters();
    const all = (): ClientAgent[] => connections.map(connection => ({ connection }) as unknown as ClientAgent);
    moves = new ClientMoves({ all }, counters, error => void defects.push(error));
  });
  afterEach(() => {
    moves.stop();
    jest.useRealTimers();
  });

  it('asks as many as are wanted, so many per second, each once', () => {
    connections = Array.from({ length: 100 }, () => session());
    expect(moves.begin(40, 100)).toBe(40);
    expect(asked()).toBe(0);
    jest.advanceTimersByTime(200);
    expect(asked()).toBe(20);
    jest.advanceTimersByTime(10_000);
    expect([asked(), counters.get('clients_rebalanced', 'gate')]).toEqual([40, 40]);
    expect(connections[0]?.asked).toEqual([10_000]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('asks less than once in its interval when so few are wanted', () => {
    connections = Array.from({ length: 3 }, () => session());
    moves.begin(3, 2);
    jest.advanceTimersByTime(1_000);
    expect(asked()).toBe(2);
  });

  it('asks only those that can move', () => {
    const stay = [session({ isWelcomed: false }), session({ isAway: true }), session({ isHandedOver: true })];
    connections = [...stay, session()];
    expect(moves.begin(10, 100)).toBe(1);
    jest.advanceTimersByTime(1_000);
    expect(connections.map(each => each.asked.length)).toEqual([0, 0, 0, 1]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('has nothing to do for plain clients', () => {
    connections = [{} as never];
    expect(moves.begin(10, 100)).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('goes on with the others when one cannot be asked', () => {
    const defect = new Error('a defect');
    const broken = session();
    broken.askToMove = function (this: typeof broken) {
      this.isMoving = true;
      throw defect;
    };
    connections = [broken, session()];
    moves.begin(2, 100);
    jest.advanceTimersByTime(1_000);
    expect([defects, connections[1]?.asked.length]).toEqual([[defect], 1]);
  });

  it('ends one call with the next', () => {
    connections = Array.from({ length: 100 }, () => session());
    moves.begin(100, 10);
    expect(moves.begin(5, 1_000)).toBe(5);
    jest.advanceTimersByTime(10_000);
    expect(asked()).toBe(5);
  });
});
