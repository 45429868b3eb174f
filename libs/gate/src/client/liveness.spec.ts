import { describe, expect, it } from '@jest/globals';
import type { Connection } from '../connection/connection.js';
import { Liveness } from './liveness.js';

function connected() {
  const pings: number[] = [];
  const connection = { bytesRead: 0, writableLength: 0, takenBytes: 0, ping: () => void pings.push(pings.length) };
  const liveness = new Liveness(connection as unknown as Connection);
  liveness.start(1_000);
  return { connection, liveness, pings };
}

describe('Liveness', () => {
  it('is silent since the last bytes, or since it began', () => {
    const { connection, liveness } = connected();
    expect(liveness.silentFor(1_500, false)).toBe(500);
    connection.bytesRead = 10;
    expect(liveness.silentFor(1_600, false)).toBe(0);
    expect(liveness.silentFor(1_900, false)).toBe(300);
  });

  it('is not silent while the gate does not read', () => {
    const { liveness } = connected();
    expect(liveness.silentFor(2_000, true)).toBe(0);
    expect(liveness.silentFor(2_100, false)).toBe(100);
  });

  it('is stuck when its socket has taken nothing of what waits for so long', () => {
    const { connection, liveness } = connected();
    connection.writableLength = 5;
    expect(liveness.isStuck(2_000, 1_000)).toBe(true);
  });

  it('is not stuck while its socket takes something, or has nothing', () => {
    const { connection, liveness } = connected();
    expect(liveness.isStuck(1_000, 1_000)).toBe(false);
    connection.writableLength = 5;
    expect(liveness.isStuck(1_999, 1_000)).toBe(false);
    connection.takenBytes = 1;
    expect(liveness.isStuck(2_100, 1_000)).toBe(false);
    expect(liveness.isStuck(3_099, 1_000)).toBe(false);
    connection.writableLength = 0;
    expect(liveness.isStuck(3_200, 1_000)).toBe(false);
    connection.writableLength = 5;
    expect(liveness.isStuck(4_199, 1_000)).toBe(false);
    expect(liveness.isStuck(4_200, 1_000)).toBe(true);
  });

  it('is pinged when an interval is over', () => {
    const { liveness, pings } = connected();
    liveness.pingWhenDue(1_999, 1_000);
    expect(pings).toHaveLength(0);
    liveness.pingWhenDue(2_000, 1_000);
    liveness.pingWhenDue(2_999, 1_000);
    expect(pings).toHaveLength(1);
    liveness.pingWhenDue(3_000, 1_000);
    expect(pings).toHaveLength(2);
  });
});
