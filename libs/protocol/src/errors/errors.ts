/**
 * The coded errors of nestgate: what a client may be told, and what an API call may reject with. Codes are stable
 * strings and are never reused.
 */
const ERROR_MESSAGES = Object.freeze({
  // What clients may be told.
  BAD_FRAME: 'The frame is malformed',
  BAD_TOPIC: 'The topic is not allowed',
  NO_ROUTE: 'No worker serves this module',
  NO_HANDLER: 'No handler for this topic',
  NO_WORKER: 'No worker is available for this module',
  WORKER_LOST: 'The worker was lost while handling the request',
  TIMEOUT: 'The request timed out',
  RATE_LIMITED: 'Too many messages',
  PAYLOAD_TOO_LARGE: 'The payload is too large',
  UNAUTHORIZED: 'Authentication is required',
  FORBIDDEN: 'Not allowed',
  BAD_REQUEST: 'The request is not valid',
  DUPLICATE_ID: 'A request with this id is still unanswered',
  STORAGE_UNAVAILABLE: 'The session storage is unavailable',
  SESSION_NOT_FOUND: 'The session does not exist',
  PARTIAL_RESULT: 'Some gates did not answer',
  SLOW_CONSUMER: 'The items of the stream are not read fast enough',
  INTERNAL: 'Internal server error',
  // What only API calls reject with.
  BAD_ARGUMENT: 'An argument is not valid',
  LIMIT_EXCEEDED: 'A limit was exceeded',
  NO_CURRENT_CLIENT: 'There is no current client outside of a handler',
  LINK_UNAVAILABLE: 'The link is unavailable',
  NODE_LOST: 'The node was lost before it answered',
  UNKNOWN_OPERATION: 'The node does not know this operation',
  LINK_CORRUPT: 'The link carried a malformed frame',
  LINK_CLOSED: 'The link is closed',
} as const);

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_MESSAGES;

/** What travels of an error: to clients, and between nodes. Handlers may use codes of their own. */
export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  /** Machine-readable particulars, such as a validator's messages with `BAD_REQUEST`. */
  readonly details?: unknown;
}

/** The message that stands for a code when nothing better is known. */
export function defaultMessage(code: ErrorCode): string {
  return ERROR_MESSAGES[code];
}

/** True when `code` is one of nestgate's own codes. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_MESSAGES, code);
}

/** An error with a stable code. Thrown by every public call of nestgate that can fail. */
export class GateError extends Error {
  override readonly name = 'GateError';

  constructor(
    /** One of {@link ErrorCode}, or a handler's own code that came over the link. */
    readonly code: ErrorCode | (string & {}),
    message: string = isErrorCode(code) ? ERROR_MESSAGES[code] : code,
    /** Machine-readable particulars. */
    readonly details?: unknown,
  ) {
    super(message);
  }

  /** The part of the error that may leave the process. */
  toBody(): ErrorBody {
    const { code, message, details } = this;
    return details === undefined ? { code, message } : { code, message, details };
  }
}
