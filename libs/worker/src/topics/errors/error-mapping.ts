import { HttpException, HttpStatus } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { boundErrorBody, type ErrorBody, GateError, isErrorCode } from '@nestgate/protocol';

/** Codes for HTTP exceptions, which guards and pipes of Nest throw whatever the transport. */
const BY_STATUS: Readonly<Record<number, string>> = {
  [HttpStatus.BAD_REQUEST]: 'BAD_REQUEST',
  [HttpStatus.UNAUTHORIZED]: 'UNAUTHORIZED',
  [HttpStatus.FORBIDDEN]: 'FORBIDDEN',
  [HttpStatus.REQUEST_TIMEOUT]: 'TIMEOUT',
  [HttpStatus.PAYLOAD_TOO_LARGE]: 'PAYLOAD_TOO_LARGE',
  [HttpStatus.UNPROCESSABLE_ENTITY]: 'BAD_REQUEST',
  [HttpStatus.TOO_MANY_REQUESTS]: 'RATE_LIMITED',
};

/** Codes that only API calls know; a client is told what it can do about them. */
const API_CODES: Readonly<Record<string, string>> = {
  BAD_ARGUMENT: 'BAD_REQUEST',
  LIMIT_EXCEEDED: 'BAD_REQUEST',
  NO_CURRENT_CLIENT: 'INTERNAL',
  LINK_UNAVAILABLE: 'INTERNAL',
  LINK_CLOSED: 'INTERNAL',
  LINK_CORRUPT: 'INTERNAL',
  NODE_LOST: 'INTERNAL',
  UNKNOWN_OPERATION: 'INTERNAL',
};

/** What stands for everything that a client must not know. One object, so that what is masked can be told apart. */
export const MASKED: ErrorBody = Object.freeze(new GateError('INTERNAL').toBody());

/** Longest code that an application may give an error, in UTF-16 units. */
const MAX_CODE = 64;
const FORBIDDEN_RESOURCE = 'Forbidden resource';

/** The parts of an error's body that are sent to clients. */
interface ErrorFields {
  readonly code?: unknown;
  readonly errorCode?: unknown;
  readonly statusCode?: unknown;
  readonly status?: unknown;
  readonly message?: unknown;
  readonly details?: unknown;
  readonly errors?: unknown;
}

/**
 * The error that a client gets for an HTTP exception: the code of its body (`code` or `errorCode`), else the name of its status; its
 * message; as details what its body has under `details` or `errors`, else a list of messages. Server errors are masked.
 */
export function httpErrorBody(exception: HttpException): ErrorBody {
  const status: number = exception.getStatus();
  if (status >= 500) return MASKED;
  const response: unknown = exception.getResponse();
  const fields: ErrorFields = typeof response === 'object' && response !== null ? response : {};
  const code = ownCode(fields, status) ?? codeOfStatus(status) ?? 'BAD_REQUEST';
  const details = detailsOf(fields);
  // Of a validator's messages Nest makes a text that says nothing.
  const isList = Array.isArray(fields.message);
  const message = isList && isErrorCode(code) ? new GateError(code).message : exception.message;
  return details === undefined ? { code, message } : { code, message, details };
}

/** The error that a client gets for an error of nestgate. Details stay inside: they may name nodes. */
export function gateErrorBody(error: GateError): ErrorBody {
  const code = (Object.hasOwn(API_CODES, error.code) ? API_CODES[error.code] : undefined) ?? error.code;
  return code === 'INTERNAL' ? MASKED : { code, message: error.message };
}

/**
 * The error that a client gets for the content of an `RpcException` or `WsException`, or of what an exception filter gives to
 * `throwError`: its own code, or that of its status, with message and details. What has neither is masked.
 */
export function pipelineErrorBody(content: unknown): ErrorBody {
  if (typeof content !== 'object' || content === null) return MASKED;
  const fields = content as ErrorFields;
  const { status, message } = fields;
  const code = ownCode(fields, undefined) ?? statusCode(fields);
  if (typeof code === 'object') return code;
  if (code !== undefined) {
    const details = detailsOf(fields);
    const body = { code, message: typeof message === 'string' ? message : defaultText(code) };
    return details === undefined ? body : { ...body, details };
  }
  // Nest's answer for a guard that said no, and for an exception that is only a text.
  if (status === 'error' && message === FORBIDDEN_RESOURCE) return new GateError('FORBIDDEN').toBody();
  if (status === 'error' && message === MASKED.message) return MASKED;
  if (status === 'error' && typeof message === 'string') return { code: 'INTERNAL', message };
  return MASKED;
}

/** The error that a client gets for what application code has thrown. Throws for an error that throws when it is looked at. */
export function thrownErrorBody(error: unknown): ErrorBody {
  if (error instanceof GateError) return gateErrorBody(error);
  if (error instanceof HttpException) return httpErrorBody(error);
  if (!isContentException(error)) return MASKED;
  const content = error.getError();
  // As Nest passes on an exception that is only a text.
  return pipelineErrorBody(typeof content === 'string' ? { status: 'error', message: content } : content);
}

/**
 * The error that a client gets for what application code threw outside of Nest's pipeline, in a hook of the gate. It does
 * not travel over the link, where others are bounded.
 */
export function clientErrorBody(error: unknown): ErrorBody {
  try {
    return boundErrorBody(thrownErrorBody(error));
  } catch {
    // One that throws when it is looked at.
    return MASKED;
  }
}

/** `RpcException` and `WsException`. The latter by its shape: `@nestjs/websockets` need not be installed. */
function isContentException(error: unknown): error is Error & { getError(): unknown } {
  if (error instanceof RpcException) return true;
  return error instanceof Error && typeof (error as { getError?: unknown }).getError === 'function';
}

/** A code that the application has chosen: a text, or a number that is no status. */
function ownCode({ code, errorCode }: ErrorFields, status: number | undefined): string | undefined {
  for (const own of [code, errorCode]) {
    if (typeof own === 'string' && own.length <= MAX_CODE && /^[^$]/.test(own)) return own;
    if (typeof own === 'number' && Number.isFinite(own) && own !== status && !isStatus(own)) return String(own);
  }
  return undefined;
}

/** The code of an HTTP status, wherever it stands; server errors are masked, as those of HTTP exceptions are. */
function statusCode({ code, errorCode, statusCode: given, status }: ErrorFields): string | ErrorBody | undefined {
  const found = [code, errorCode, given, status].find(isStatus);
  if (found === undefined) return undefined;
  return found >= 500 ? MASKED : (codeOfStatus(found) ?? 'BAD_REQUEST');
}

function isStatus(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 400 && (value as number) <= 599;
}

function codeOfStatus(status: number): string | undefined {
  return BY_STATUS[status] ?? HttpStatus[status];
}

function detailsOf({ details, errors, message }: ErrorFields): unknown {
  return details ?? errors ?? (Array.isArray(message) ? message : details);
}

function defaultText(code: string): string {
  return isErrorCode(code) ? new GateError(code).message : code;
}
