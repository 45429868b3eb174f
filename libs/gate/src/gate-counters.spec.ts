import { describe, expect, it } from '@jest/globals';
import { GateCounters } from './gate-counters.js';

describe('GateCounters', () => {
  it('counts by name and label', () => {
    const counters = new GateCounters();
    counters.add('packs_dropped', 'closed');
    counters.add('packs_dropped', 'closed', 4);
    counters.add('connections_closed', 1008);
    expect(counters.get('packs_dropped', 'closed')).toBe(5);
    expect(counters.get('connections_closed', '1008')).toBe(1);
    expect(counters.get('packs_dropped', 'hook')).toBe(0);
    expect(counters.snapshot()).toEqual({ packs_dropped: { closed: 5 }, connections_closed: { 1008: 1 } });
  });

  it('takes no label from a client: a code that is not of its own is a custom one', () => {
    const counters = new GateCounters();
    for (const code of ['NO_ROUTE', 'OUT_OF_STOCK', 'anything\n"at" all', '__proto__', 'constructor', 'NO_ROUTE']) {
      counters.add('frames_refused', code);
    }
    expect(counters.snapshot()).toEqual({ frames_refused: { NO_ROUTE: 2, custom: 4 } });
  });

  it('does not grow with its labels', () => {
    const counters = new GateCounters();
    for (let n = 0; n < 10_000; n++) counters.add('connections_closed', n);
    counters.add('connections_closed', 5, 10);
    const labels = counters.snapshot()['connections_closed'] ?? {};
    expect(Object.keys(labels).length).toBe(101);
    expect(labels).toMatchObject({ 0: 1, 5: 11, 99: 1, custom: 9_900 });
  });
});
