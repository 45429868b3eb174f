import { isAbsolute } from 'node:path';
import { assertKnownOptions, optionKeys } from '@nestgate/link/internal';
import type { AwayPresence, ResolvedResumeOptions, ResumeOptions } from '../gate-options.js';
import { refuse } from '../refuse-option.js';

type NumberKey = Exclude<keyof ResumeOptions, 'presence' | 'spoolDir'>;

/** Default, smallest and largest value of each number. */
const NUMBERS: Readonly<Record<NumberKey, readonly [fallback: number, min: number, max: number]>> = {
  keepMs: [120_000, 10, 86_400_000],
  keepGuestMs: [30_000, 10, 86_400_000],
  frames: [1_000, 1, 1_000_000],
  bytes: [262_144, 1_024, 1024 * 1024 * 1024],
  totalBytes: [256 * 1024 * 1024, 1_024, 1024 * 1024 * 1024 * 1024],
  maxDetached: [50_000, 1, 10_000_000],
  maxDetachedPerAddress: [100, 0, 10_000_000],
  ackEvery: [64, 1, 100_000],
  ackMs: [1_000, 10, 60_000],
};
const PRESENCE: readonly AwayPresence[] = ['hold', 'drop'];
const KEYS = optionKeys<ResumeOptions>({
  keepMs: true,
  keepGuestMs: true,
  frames: true,
  bytes: true,
  totalBytes: true,
  maxDetached: true,
  maxDetachedPerAddress: true,
  ackEvery: true,
  ackMs: true,
  presence: true,
  spoolDir: true,
});

/** Checks the options of `resume`, and fills in the defaults. @throws {GateError} `BAD_ARGUMENT`. */
export function resolveResumeOptions(options: ResumeOptions): ResolvedResumeOptions {
  assertKnownOptions('GateModule', options, KEYS, 'resume.');
  const numbers = {} as Record<NumberKey, number>;
  for (const [key, [fallback, min, max]] of Object.entries(NUMBERS) as [NumberKey, [number, number, number]][]) {
    // One ring always has room.
    const least = key === 'totalBytes' ? numbers.bytes : min;
    const value = options[key] ?? Math.max(fallback, least);
    if (!Number.isInteger(value) || value < least || value > max) {
      refuse(`resume.${key}`, `an integer from ${least} to ${max}`, value);
    }
    numbers[key] = value;
  }
  const { presence = 'hold' } = options;
  if (!PRESENCE.includes(presence)) refuse('resume.presence', PRESENCE.join(', '), presence);
  const { spoolDir } = options;
  if (spoolDir !== undefined && !(typeof spoolDir === 'string' && isAbsolute(spoolDir))) {
    refuse('resume.spoolDir', 'the absolute path of a directory', spoolDir);
  }
  return Object.freeze({ ...numbers, presence, spoolDir });
}
