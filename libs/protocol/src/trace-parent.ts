/** The identity of a trace as W3C Trace Context writes it: `00-<trace id>-<span id>-<flags>`, in lower-case hex. */
export interface TraceSpan {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** 1 when the trace is sampled. */
  readonly traceFlags: number;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** No identity may be all zeros. */
const ZEROS = /^0+$/;
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;

/** Reads a `traceparent`; `undefined` for one that must be ignored. Later versions are read as far as they are known. */
export function parseTraceParent(header: string | undefined): TraceSpan | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(header ?? '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1 };
}

export function formatTraceParent({ traceId, spanId, traceFlags }: TraceSpan): string {
  return `00-${traceId}-${spanId}-0${traceFlags}`;
}

/** A new trace, for connections that bring none. */
export function newTraceSpan(): TraceSpan {
  const random = crypto.getRandomValues(new Uint8Array(TRACE_BYTES + SPAN_BYTES));
  return {
    traceId: hexOf(random, 0, TRACE_BYTES),
    spanId: hexOf(random, TRACE_BYTES, TRACE_BYTES + SPAN_BYTES),
    traceFlags: 1,
  };
}

/** Each connection gets such an identity: digits are put together at once, without a text for each byte. */
function hexOf(bytes: Uint8Array, start: number, end: number): string {
  // All zeros would be no identity; one bit set is.
  bytes[start] = (bytes[start] as number) | 1;
  const codes: number[] = [];
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    codes.push(digitOf(byte >> 4), digitOf(byte & 15));
  }
  return String.fromCharCode(...codes);
}

/** The code of a lower-case hex digit. */
function digitOf(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}
