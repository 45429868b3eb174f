/** What the gate may send on a `gate.json` connection, told apart. */
export type Inbound =
  | { kind: 'reply'; id: number; body: unknown }
  | { kind: 'failure'; id: number; error: GateError }
  | { kind: 'push'; topic: string; body: unknown };

/** An error the gate answered with, or one the client met on the way there. */
export class GateError extends Error {
  override readonly name = 'GateError';

  constructor(
    readonly code: string,
    message: string,
    readonly details: readonly string[] = [],
  ) {
    super(message);
  }

  /** True when the same request may well succeed a moment later. */
  get transient(): boolean {
    return TRANSIENT_CODES.has(this.code);
  }
}

// NO_ROUTE is here because a freshly restarted gate has not heard from its workers yet.
const TRANSIENT_CODES = new Set([
  'NO_ROUTE',
  'NO_WORKER',
  'WORKER_LOST',
  'TIMEOUT',
  'RATE_LIMITED',
  'STORAGE_UNAVAILABLE',
]);

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function readError(value: unknown): GateError {
  const error = isRecord(value) ? value : {};
  const code = typeof error['code'] === 'string' ? error['code'] : 'INTERNAL';
  const message = typeof error['message'] === 'string' ? error['message'] : 'The server reported an error.';
  const details = Array.isArray(error['details'])
    ? error['details'].filter((line): line is string => typeof line === 'string')
    : [];
  return new GateError(code, message, details);
}

/** Returns null for anything that is not a frame: a page must outlive a server newer than itself. */
export function readFrame(data: unknown): Inbound | null {
  if (typeof data !== 'string') return null;
  let frame: unknown;
  try {
    frame = JSON.parse(data);
  } catch {
    return null;
  }
  if (!isRecord(frame)) return null;
  const id = frame['id'];
  if (typeof id === 'number') {
    if (frame['error'] !== undefined) return { kind: 'failure', id, error: readError(frame['error']) };
    return { kind: 'reply', id, body: frame['body'] };
  }
  const topic = frame['topic'];
  return typeof topic === 'string' ? { kind: 'push', topic, body: frame['body'] } : null;
}

export function writeFrame(topic: string, body: unknown, id: number): string {
  return JSON.stringify({ topic, body, id });
}
