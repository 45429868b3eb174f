import { describe, expect, it } from '@jest/globals';
import { formatTraceParent, newTraceSpan, parseTraceParent } from './trace-parent.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('traceparent', () => {
  it('is read and written', () => {
    const header = `00-${TRACE}-${SPAN}-01`;
    const span = parseTraceParent(header);
    expect(span).toEqual({ traceId: TRACE, spanId: SPAN, traceFlags: 1 });
    expect(span && formatTraceParent(span)).toBe(header);
  });

  it('of a later version is read as far as it is known', () => {
    expect(parseTraceParent(`cc-${TRACE}-${SPAN}-03-more`)).toEqual({ traceId: TRACE, spanId: SPAN, traceFlags: 1 });
  });

  it.each([
    undefined,
    '',
    'x',
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}`,
  ])('is ignored when it is %j', header => expect(parseTraceParent(header)).toBeUndefined());

  it('is made for connections that bring none, each another', () => {
    const one = newTraceSpan();
    expect(parseTraceParent(formatTraceParent(one))).toEqual(one);
    expect(newTraceSpan().traceId).not.toBe(one.traceId);
  });
});
