import { describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { resolveResumeOptions } from './resolve-resume-options.js';

describe('resolveResumeOptions', () => {
  it('is off unless given, and has a default for everything', () => {
    expect(resolveGateOptions({}).resume).toBeUndefined();
    expect(resolveGateOptions({ resume: {} }).resume).toEqual({
      keepMs: 120_000,
      keepGuestMs: 30_000,
      frames: 1_000,
      bytes: 262_144,
      totalBytes: 268_435_456,
      maxDetached: 50_000,
      maxDetachedPerAddress: 100,
      ackEvery: 64,
      ackMs: 1_000,
      presence: 'hold',
      spoolDir: undefined,
    });
    expect(resolveResumeOptions({ keepMs: undefined })).toEqual(resolveResumeOptions({}));
    expect(Object.isFrozen(resolveResumeOptions({}))).toBe(true);
  });

  it('leaves room for one ring in totalBytes', () => {
    expect(resolveResumeOptions({ bytes: 500_000_000 }).totalBytes).toBe(500_000_000);
    expect(() => resolveResumeOptions({ bytes: 5_000, totalBytes: 4_999 })).toThrow(
      'Option resume.totalBytes: 4999 is not allowed; allowed: an integer from 5000 to ',
    );
  });

  it.each([
    [{ keepMs: 0 }, 'resume.keepMs: 0'],
    [{ keepMs: 1.5 }, 'resume.keepMs: 1.5'],
    [{ frames: -1 }, 'resume.frames: -1'],
    [{ ackEvery: '64' }, 'resume.ackEvery: "64"'],
    [{ maxDetachedPerAddress: NaN }, 'resume.maxDetachedPerAddress: NaN'],
    [{ presence: 'keep' }, 'resume.presence: "keep" is not allowed; allowed: hold, drop'],
    [{ spoolDir: 'sessions' }, 'resume.spoolDir: "sessions" is not allowed; allowed: the absolute path of a directory'],
    [{ spoolDir: 5 }, 'resume.spoolDir: 5'],
    [{ keepMS: 5 }, 'unknown option "resume.keepMS"; did you mean "resume.keepMs"?'],
    [true, 'option resume must be an object, but a boolean was given'],
  ])('refuses %j', (resume, message) => {
    expect(() => resolveGateOptions({ resume } as never)).toThrow(message);
  });
});
