import { unitAt } from '../text-unit.js';

/**
 * Uids, groups and session keys are free text of 1–128 bytes of UTF-8. Whatever a link or a storage does with them
 * (NATS subjects, Redis keys) it must escape or hash; here only what no store or log can carry safely is refused.
 */

/** Longest uid, group or session key in bytes of UTF-8. */
export const MAX_NAME_BYTES = 128;

/** Why a name was refused, or `undefined` when it is fine. */
export function nameFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'must be a string';
  if (value.length === 0) return 'must not be empty';
  // A UTF-16 unit takes at least one byte, so this also bounds the loop below.
  if (value.length > MAX_NAME_BYTES) return `must be at most ${MAX_NAME_BYTES} bytes`;
  let bytes = 0;
  for (let i = 0; i < value.length; i++) {
    const code = unitAt(value, i);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return 'must not contain control characters';
    if (code < 0x80) bytes += 1;
    else if (code < 0x800) bytes += 2;
    else if (code < 0xd800 || code > 0xdfff) bytes += 3;
    else {
      const low = code < 0xdc00 ? unitAt(value, i + 1) : Number.NaN;
      if (!(low >= 0xdc00 && low <= 0xdfff)) return 'must not contain lone surrogates';
      bytes += 4;
      i++;
    }
  }
  return bytes > MAX_NAME_BYTES ? `must be at most ${MAX_NAME_BYTES} bytes` : undefined;
}

/** True when `value` may be a uid, a group or a session key. */
export function isName(value: unknown): value is string {
  return nameFault(value) === undefined;
}
