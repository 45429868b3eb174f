import { codeOf } from '@nestgate/link/internal';
/** Turns `SESSION_NOT_FOUND` into `false`, for questions whose answer that is. */
export function orFalse(answer: Promise<boolean>): Promise<boolean> {
  return orElse(answer, false);
}

/** Turns `SESSION_NOT_FOUND` into `null`. */
export function orNull<T>(answer: Promise<T>): Promise<T | null> {
  return orElse(answer, null);
}

async function orElse<T, F>(answer: Promise<T>, absent: F): Promise<T | F> {
  try {
    return await answer;
  } catch (error) {
    if (codeOf(error) === 'SESSION_NOT_FOUND') return absent;
    throw error;
  }
}
