/**
 * A wall clock that a test can set, as an administrator or a time service may at any moment. Loaded before anything else in
 * nodes that are started with `FAULTS_CLOCK_MS`: how far their clock is ahead. Timers and `performance.now()` are not touched,
 * as they are not by a clock that is set.
 */
const RealDate = Date;
let aheadMs = Number(process.env.FAULTS_CLOCK_MS ?? 0);

if (process.env.FAULTS_CLOCK_MS !== undefined) {
  globalThis.Date = class Date extends RealDate {
    constructor(...args) {
      if (args.length === 0) super(RealDate.now() + aheadMs);
      else super(...args);
    }

    static now() {
      return RealDate.now() + aheadMs;
    }
  };
}

/** Sets the clock: so many milliseconds ahead of the real one. Returns what it shows now. */
export function setClock(ms) {
  aheadMs = ms;
  return Date.now();
}
