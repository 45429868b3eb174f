import type { ClientStats } from './options.js';

/** Counters that start at 0. */
export function newStats(): ClientStats {
  // A string takes less room in a bundle than an object.
  const names =
    'attempts connections resumes framesIn framesOut resent repeated badFrames largeFrames unknownControl unknownReplies unheardPushes dropped errors gaps pingTimeouts countMismatches';
  return Object.fromEntries(names.split(' ').map(name => [name, 0])) as unknown as ClientStats;
}
