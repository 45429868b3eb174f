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
  return { traceId: randomHex(16), spanId: randomHex(8), traceFlags: 1 };
}

function randomHex(bytes: number): string {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  // All zeros would be no identity; one bit set is.
  values[0] = (values[0] as number) | 1;
  return Array.from(values, value => value.toString(16).padStart(2, '0')).join('');
}
