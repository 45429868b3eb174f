/** What a close code means, and whether a client should come back by itself. */
export interface CloseCodeInfo {
  readonly code: number;
  /** Short text, sent as the reason when the application gives none. */
  readonly reason: string;
  /** True when a client may reconnect (with backoff) without asking the user. */
  readonly reconnect: boolean;
}

function info(code: number, reason: string, reconnect: boolean): CloseCodeInfo {
  return Object.freeze({ code, reason, reconnect });
}

/** The WebSocket close codes that a gate uses or understands. Numbers are never reused for another meaning. */
export const CLOSE = Object.freeze({
  normal: info(1000, 'closed by the application', false),
  goingAway: info(1001, 'client went away', true),
  protocolError: info(1002, 'protocol error', false),
  wrongFrameType: info(1003, 'wrong frame type', false),
  badText: info(1007, 'bad UTF-8', false),
  policy: info(1008, 'policy violation', false),
  tooLarge: info(1009, 'too large', false),
  internal: info(1011, 'internal error', true),
  restarting: info(1012, 'gate restarting', true),
  overloaded: info(1013, 'overloaded', true),
  replaced: info(4001, 'replaced by a newer login', false),
  kicked: info(4002, 'closed by the application', false),
  heartbeatTimeout: info(4003, 'heartbeat timeout', true),
  takenOver: info(4004, 'taken over by a newer connection of the session', false),
  moved: info(4005, 'the session continues on another connection', true),
});

const BY_CODE: ReadonlyMap<number, CloseCodeInfo> = new Map(Object.values(CLOSE).map(entry => [entry.code, entry]));

/** What is known of a close code, or `undefined` for a foreign one. */
export function closeCodeInfo(code: number): CloseCodeInfo | undefined {
  return BY_CODE.get(code);
}

/** The close codes after which a resumable session is kept; 1005 and 1006 stand for a connection without a close code. */
const KEEPING: ReadonlySet<number> = new Set([1001, 1005, 1006, 1011, 1012, 1013, 4003, 4005]);

/** Whether a resumable session is kept when its connection has ended with this code. */
export function keepsSession(code: number): boolean {
  return KEEPING.has(code);
}

/** Bytes of UTF-8 that a close frame has room for, beside its code. */
export const MAX_CLOSE_REASON_BYTES = 123;

/**
 * Whether a close code can be sent: those that RFC 6455 and its registry define for endpoints, and the ranges of libraries
 * and applications. 1004, 1005, 1006 and 1015 never stand in a frame.
 */
export function isSendableCloseCode(code: unknown): code is number {
  if (typeof code !== 'number' || !Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

/** A close reason as it is sent: well-formed, and cut after at most {@link MAX_CLOSE_REASON_BYTES} bytes of UTF-8. */
export function closeReason(text: string): string {
  // Each unit of UTF-16 takes at least one byte. `encode` replaces halves of characters.
  const bytes = new TextEncoder().encode(text.slice(0, MAX_CLOSE_REASON_BYTES));
  let end = Math.min(bytes.length, MAX_CLOSE_REASON_BYTES);
  // Not within a character: its later bytes are 10xxxxxx.
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, end));
}
