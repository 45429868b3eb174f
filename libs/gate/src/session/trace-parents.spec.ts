import { describe, expect, it } from '@jest/globals';
import { parseTraceParent } from '@nestgate/protocol';
import { TraceParents } from './trace-parents.js';

const HEADER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';

describe('TraceParents', () => {
  it('takes over the identity that a connection brings', () => {
    expect(new TraceParents().from(HEADER)).toBe(HEADER);
  });

  it('makes one for a connection that brings none, or none that can be used', () => {
    const parents = new TraceParents();
    for (const header of [undefined, '', 'x', HEADER.toUpperCase()]) {
      expect(parseTraceParent(parents.from(header))).toMatchObject({ traceFlags: 1 });
    }
  });

  it('makes another one for each connection, also when its random bytes have been used up', () => {
    const parents = new TraceParents();
    const spans = Array.from({ length: 1_000 }, () => parseTraceParent(parents.from(undefined)));
    expect(new Set(spans.map(span => span?.traceId)).size).toBe(1_000);
    expect(new Set(spans.map(span => span?.spanId)).size).toBe(1_000);
  });
});
