import type { ErrorBody, TruncatedDetails } from '@nestgate/protocol';
import { jsonRefusal } from '../../message/message.js';
import { BoundedLog } from '../../log/bounded-log.js';
import { pipelineErrorBody, MASKED, thrownErrorBody } from './error-mapping.js';

const log = new BoundedLog('GateTransport');

/**
 * The error that a client gets for what a handler, or something around it, has thrown. What is masked is logged, once, with its topic:
 * the client hears nothing of it.
 */
export function toldError(error: unknown, topic: string | undefined): ErrorBody {
  let body = MASKED;
  try {
    body = thrownErrorBody(error);
  } catch {
    // One that throws when it is looked at.
  }
  if (body === MASKED) log.error(error, topic);
  return sendableError(body, topic, log);
}

/**
 * An error must arrive, whatever its details are: those that JSON cannot carry, or would change without a word, are left out, and `to`
 * names what is wrong with them.
 */
export function sendableError(body: ErrorBody, topic: string | undefined, to: BoundedLog): ErrorBody {
  const { code, message, details } = body;
  const refusal = details === undefined ? undefined : jsonRefusal(details, topic, 'details');
  if (!refusal) return body;
  to.error(`${refusal.message}: the error ${code} is sent without its details`);
  const truncated: TruncatedDetails = { truncated: true };
  return { code, message, details: truncated };
}

/**
 * The error that a client gets for what Nest's pipeline has ended with: what an exception filter gives to `throwError`, or what a filter
 * has thrown.
 */
export function endedError(error: unknown, topic: string | undefined): ErrorBody {
  if (isTold(error)) return error;
  try {
    if (!(error instanceof Error)) {
      const body = pipelineErrorBody(error);
      // Nest's own filter has logged what it has masked; of others nobody has heard.
      if (body === MASKED && !isMaskedByNest(error)) log.error(`An error without a code: ${shapeOf(error)}`, topic);
      return sendableError(body, topic, log);
    }
  } catch {
    // Told below.
  }
  return toldError(error, topic);
}

/**
 * What Nest's pipeline ends with when a filter has thrown `failure` on `exception`. A filter may translate an error by throwing
 * another one that has a code, or throw what it was given. Anything else is a failure of the filter: both errors are logged.
 */
export function failedFilterError(failure: unknown, exception: unknown, topic: string): unknown {
  if (failure === exception || isTold(failure)) return failure;
  try {
    if (thrownErrorBody(failure) !== MASKED) return failure;
  } catch {
    // One that throws when it is looked at.
  }
  log.error(failure, `${topic}: an exception filter has failed`);
  log.error(exception, `${topic}: the error that the filter was asked about`);
  return markTold(MASKED);
}

/** An error that fails while a filter of the application handles another one; of which class is told once. */
export function warnOfFilter(filter: object, failure: unknown, topic: string | undefined): void {
  const { name } = filter.constructor;
  if (warned.has(filter.constructor)) return;
  warned.add(filter.constructor);
  log.error(
    failure,
    `${topic === undefined ? '' : `${topic}: `}the exception filter ${name} has failed, and is passed over: ` +
      "it seems to be written for HTTP, look at host.getType() === 'http' first",
  );
}

/** Filter classes that were logged. */
const warned = new WeakSet<Function>();
/** What {@link toldError} has made for a stream: it is not looked at again. */
const told = new WeakSet<object>();

/** Marks what a client is told, on its way through Nest's pipeline. */
export function markTold(body: ErrorBody): ErrorBody {
  const marked = { ...body };
  told.add(marked);
  return marked;
}

function isTold(error: unknown): error is ErrorBody {
  return typeof error === 'object' && error !== null && told.has(error);
}

function isMaskedByNest(error: unknown): boolean {
  return (error as { status?: unknown } | null | undefined)?.status === 'error';
}

/** Its message, or else what it has; not all of its content, which may be anything. */
function shapeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return typeof error;
  const { message } = error as { message?: unknown };
  if (typeof message === 'string') return message;
  return `an object with ${Object.keys(error).slice(0, 10).join(', ') || 'nothing in it'}`;
}
