import type { StreamReport } from './ledger.js';

/** What a report must say whatever happens: nothing lost silently, duplicated, out of order, or delivered to a wrong client. */
export const NO_DEFECTS = Object.freeze({ lost: 0, dup: 0, reorder: 0, foreign: 0, silent: 0 });

/** The errors in a report that are not among those which a fault may cause. */
export function unexpectedErrors({ errors }: StreamReport, ...expected: string[]): string[] {
  return Object.keys(errors).filter(code => !expected.includes(code));
}
