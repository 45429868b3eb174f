/** An error with a stable code: of the gate, of a handler, or one of {@link ClientErrorCode}. */
export class GateError extends Error {
  override readonly name = 'GateError';

  constructor(
    readonly code: string,
    message: string = code,
    /** Machine-readable particulars, such as a validator's messages with `BAD_REQUEST`. */
    readonly details?: unknown,
  ) {
    super(message);
  }
}

/**
 * The codes that the client itself rejects with:
 *
 * - `OFFLINE`: there is no connection and the request was not sent.
 * - `CONNECTION_LOST`: the connection was lost after the request was sent; it may have been handled.
 * - `TIMEOUT`: no answer within `timeoutMs`. `details.sent` says whether it was sent.
 * - `ABORTED`: the caller's signal was aborted.
 * - `BUFFER_FULL`: too much waits to be sent; the request was not sent.
 * - `SLOW_CONSUMER`: an iterator was not read fast enough.
 * - `BAD_ARGUMENT`: the URL, an option or a body cannot be used.
 */
export type ClientErrorCode =
  'OFFLINE' | 'CONNECTION_LOST' | 'TIMEOUT' | 'ABORTED' | 'BUFFER_FULL' | 'SLOW_CONSUMER' | 'BAD_ARGUMENT';

/** True when `error` is a {@link GateError}, with this code when one is given. */
export function isGateError<Code extends string>(error: unknown, code?: Code): error is GateError & { code: Code } {
  // By name: a page may have two copies of this module.
  const { name, code: own } = (error ?? {}) as Partial<GateError>;
  return name === 'GateError' && (code === undefined || own === code);
}

/** The error that a frame carries. Whatever the server sends, the result has a code and a message. */
export function errorOf(value: unknown): GateError {
  const { code, message, details } = fieldsOf(value);
  return new GateError(textOf(code) ?? 'INTERNAL', textOf(message), details);
}

/** Converts a thrown value to an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The fields of a value, if it is an object. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return (value ?? {}) as Readonly<Record<string, unknown>>;
}

/** The value, if it is a string. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
