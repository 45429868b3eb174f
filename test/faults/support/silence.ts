import { expect } from '@jest/globals';
import type { BalanceRun } from './balance-run.js';
import { isLong } from './fault-cluster.js';
import { printFigures } from './figures.js';
import type { BalanceReport } from './push-balance.js';

/** How often each fault is tried, unless `NESTGATE_ROUNDS` says so: what is lost in some milliseconds is not lost each time. */
const COUNT = Number(process.env.NESTGATE_ROUNDS ?? (isLong ? 20 : 1));
export const ROUNDS: readonly number[] = Array.from({ length: COUNT }, (_, index) => index + 1);

/** What must hold whatever happens. */
const BALANCED = { silent: 0, dup: 0, reorder: 0, foreign: 0, open: 0 };

/** Ends a run, prints its figures, and asserts that nothing was lost in silence, nothing twice or out of order. */
export async function expectBalanced(fault: string, run: BalanceRun): Promise<BalanceReport> {
  const report = await run.stop();
  const silence = run.describeSilent();
  printFigures(fault, {
    pushes: report,
    ...(Object.keys(run.refusals).length > 0 && { refusals: JSON.stringify(run.refusals) }),
    ...(Object.keys(run.closes).length > 0 && { closes: JSON.stringify(run.closes) }),
    ...(silence && { silence }),
  });
  expect({ ...report, silence }).toMatchObject({ ...BALANCED, silence: '' });
  // It pushed all the time, and clients received it.
  expect(report.received).toBeGreaterThan(100);
  return report;
}
