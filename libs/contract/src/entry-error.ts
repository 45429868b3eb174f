import { type AnyEntry, type ErrorCode, type ErrorCodeOf, GateError } from '@nestgate/protocol';

/**
 * An error with a code that the entry declares, or with one of nestgate's own codes. Another code does not compile.
 *
 * ```ts
 * throw entryError(chat.say, 'NOT_MEMBER', 'Join the room first');
 * ```
 */
export function entryError<E extends AnyEntry>(
  _entry: E,
  code: ErrorCodeOf<E> | ErrorCode,
  message?: string,
): GateError {
  return new GateError(code, message);
}
