import type { ErrorBody } from './errors.js';
import { MAX_JSON_DEPTH } from '../frames/json-decoder.js';
import { isDeeperThan } from '../frames/json-scan.js';

/** Longest code of an error, in UTF-16 units. What is longer is cut. */
export const MAX_ERROR_CODE = 64;
/** Longest message of an error, in UTF-16 units. What is longer is cut, and ends with `…`. */
export const MAX_ERROR_MESSAGE = 2_048;
/** Largest details of an error, in bytes of JSON. What is larger is replaced by {@link TruncatedDetails}. */
export const MAX_ERROR_DETAILS_BYTES = 64 * 1024;

/** What stands for details that are too large, nest too deeply, or are no JSON: in the last case without a size. */
export interface TruncatedDetails {
  readonly truncated: true;
  /** How large they were, in bytes of JSON. */
  readonly bytes?: number | undefined;
}

/** An error as it travels: of bounded size, whatever the application has put into it. */
export interface BoundedError {
  readonly code: string;
  readonly message: string;
  /** As JSON; `''` when there are none. */
  readonly details: string;
  /** True when something of it was cut or replaced. */
  readonly isTruncated: boolean;
}

/** The part of an error that can travel. Never throws: the error itself must arrive, whatever its details are. */
export function boundError(error: ErrorBody): BoundedError {
  const code = cut(error.code, MAX_ERROR_CODE, '');
  const message = cut(error.message, MAX_ERROR_MESSAGE, '…');
  const isCut = code !== error.code || message !== error.message;
  if (error.details === undefined) return { code, message, details: '', isTruncated: isCut };
  const text = detailsText(error.details);
  if (typeof text === 'string') return { code, message, details: text, isTruncated: isCut };
  return { code, message, details: JSON.stringify(text), isTruncated: true };
}

/** The same as an {@link ErrorBody}; the one that was given when it is small enough. */
export function boundErrorBody(error: ErrorBody): ErrorBody {
  const { code, message, details, isTruncated } = boundError(error);
  if (!isTruncated) return error;
  return details === '' ? { code, message } : { code, message, details: JSON.parse(details) as unknown };
}

/** Codes and messages are typed as text, which JavaScript does not hold an application to. */
function cut(text: unknown, limit: number, mark: string): string {
  const whole = typeof text === 'string' ? text : String(text);
  return whole.length <= limit ? whole : whole.slice(0, limit - mark.length) + mark;
}

function detailsText(details: unknown): string | TruncatedDetails {
  let text: string | undefined;
  try {
    text = JSON.stringify(details) as string | undefined;
  } catch {
    // Cycles, BigInts, a `toJSON` that throws, and what nests too deeply for this engine.
    return { truncated: true };
  }
  if (text === undefined) return '';
  const bytes = new TextEncoder().encode(text);
  // A reader may be able to parse what it cannot write again.
  const fits = bytes.length <= MAX_ERROR_DETAILS_BYTES && !isDeeperThan(bytes, MAX_JSON_DEPTH);
  return fits ? text : { truncated: true, bytes: bytes.length };
}
