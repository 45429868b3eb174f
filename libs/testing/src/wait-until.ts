import { starvedMs } from './network/starvation.js';

/** How long a condition may take to come true, in milliseconds, unless a test says otherwise. */
export const DEFAULT_WAIT_MS = 5_000;

/**
 * Waits for a condition instead of a time. Resolves with the first truthy value. What this process waited for a core does not
 * count: on a busy machine that may be most of the time.
 * @throws {Error} naming what was waited for, after `timeoutMs`.
 */
export async function waitUntil<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs: number = DEFAULT_WAIT_MS,
): Promise<NonNullable<T>> {
  const ranMs = (): number => performance.now() - starvedMs();
  const end = ranMs() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (ranMs() > end) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
