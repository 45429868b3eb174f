import { boundErrorBody, GateError } from '@nestgate/protocol';

/** An answer of the HTTP API. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The status of each code; other codes are 500. */
const STATUS: Readonly<Record<string, number>> = {
  BAD_ARGUMENT: 400,
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  SESSION_NOT_FOUND: 404,
  UNKNOWN_OPERATION: 404,
  METHOD_NOT_ALLOWED: 405,
  TIMEOUT: 504,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  LIMIT_EXCEEDED: 422,
  RATE_LIMITED: 429,
  PARTIAL_RESULT: 207,
  LINK_UNAVAILABLE: 503,
  LINK_CLOSED: 503,
  NODE_LOST: 503,
  STORAGE_UNAVAILABLE: 503,
};
/** When to try again, in seconds. */
const RETRY_AFTER: Readonly<Record<number, string>> = { 429: '1', 503: '1' };

/** The answer of a refused request. */
export function refusal(code: string, message?: string, status = STATUS[code] ?? 500): HttpAnswer {
  return answerOf(new GateError(code, message), status);
}

/**
 * The answer for what an operation has thrown. An error without a code becomes `INTERNAL`, without details.
 * @param shape the body for a result, where some gates are missing from it.
 */
export function failure(error: unknown, shape: (result: unknown) => object): HttpAnswer {
  if (!(error instanceof GateError)) return answerOf(new GateError('INTERNAL'), 500);
  const { code, message, details } = error;
  // Of the client's credentials, not of the caller's: with 401 a caller would take its own key for the reason.
  const status = code === 'UNAUTHORIZED' ? 403 : (STATUS[code] ?? 500);
  if (code !== 'PARTIAL_RESULT') return answerOf(error, status);
  const { result, missing } = details as { readonly result: unknown; readonly missing: readonly string[] };
  return { status, body: { ...shape(result), missing, error: { code, message } } };
}

function answerOf(error: GateError, status: number): HttpAnswer {
  const retryAfter = RETRY_AFTER[status];
  const body = { error: boundErrorBody(error.toBody()) };
  return retryAfter === undefined ? { status, body } : { status, body, headers: { 'Retry-After': retryAfter } };
}
