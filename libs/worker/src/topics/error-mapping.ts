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

const INTERNAL: ErrorBody = Object.freeze(new GateError('INTERNAL').toBody());

/** What a client is told of an HTTP exception. A validator's messages become `details`; server errors are masked. */
export function httpErrorBody(exception: HttpException): ErrorBody {
  const status: number = exception.getStatus();
  if (status >= 500) return INTERNAL;
  const code = BY_STATUS[status] ?? HttpStatus[status] ?? 'BAD_REQUEST';
  const response: unknown = exception.getResponse();
  const details: unknown =
    typeof response === 'object' && response !== null ? (response as { message?: unknown }).message : undefined;
  return Array.isArray(details)
    ? { code, message: isErrorCode(code) ? new GateError(code).message : exception.message, details }
    : { code, message: exception.message };
}

/** What a client is told of an error of nestgate. Details stay inside: they may name nodes. */
export function gateErrorBody(error: GateError): ErrorBody {
  const code = (Object.hasOwn(API_CODES, error.code) ? API_CODES[error.code] : undefined) ?? error.code;
  return code === 'INTERNAL' ? INTERNAL : { code, message: error.message };
}

/**
 * What a client is told of what Nest's pipeline ended with. An `RpcException({code, message})` keeps its code; what Nest
 * has masked stays masked.
 */
export function pipelineErrorBody(error: unknown): ErrorBody {
  if (typeof error === 'object' && error !== null) {
    const { code, message, details, status } = error as Record<string, unknown>;
    if (typeof code === 'string' && /^[^$]/.test(code) && code.length <= 64) {
      const body = { code, message: typeof message === 'string' ? message : code };
      return details === undefined ? body : { ...body, details };
    }
    // Nest's answer for a guard that said no, and for an RpcException that is only a text.
    if (status === 'error' && message === FORBIDDEN_RESOURCE) return new GateError('FORBIDDEN').toBody();
    if (status === 'error' && typeof message === 'string') return { code: 'INTERNAL', message };
  }
  return INTERNAL;
}

/**
 * What a client is told of an error that application code threw outside of Nest's pipeline, in a hook of the gate. It does
 * not travel over the link, where others are bounded.
 */
export function clientErrorBody(error: unknown): ErrorBody {
  try {
    if (error instanceof GateError) return boundErrorBody(gateErrorBody(error));
    if (error instanceof HttpException) return boundErrorBody(httpErrorBody(error));
    return error instanceof RpcException ? boundErrorBody(pipelineErrorBody(error.getError())) : INTERNAL;
  } catch {
    // One that throws when it is looked at.
    return INTERNAL;
  }
}

const FORBIDDEN_RESOURCE = 'Forbidden resource';
