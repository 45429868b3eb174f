/** Called with an error that no caller can handle, and the place where it was caught. Never throws. */
export type ReportDefect = (error: unknown, where: string) => void;

/**
 * Counts errors that were thrown where nobody can catch them: in callbacks of sockets, timers and the link. Each of those is
 * an entry point with a boundary of its own, which reports here and then ends the one message or connection it was about.
 */
export class Defects {
  private readonly byPlace = new Map<string, number>();

  /** `log` writes an error. An exception of `log` is ignored. */
  constructor(private readonly log: ReportDefect | undefined) {}

  /** How many were caught since the start, by place. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.byPlace);
  }

  /** `where` is one of a few names in the sources, so that the table is bounded. */
  readonly report: ReportDefect = (error, where) => {
    this.byPlace.set(where, (this.byPlace.get(where) ?? 0) + 1);
    try {
      this.log?.(error, where);
    } catch {
      // The logger is of the application too.
    }
  };

  /** A callback that reports what it throws. Made once, where the callback is registered. */
  guard<A extends unknown[]>(where: string, callback: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        callback(...args);
      } catch (error) {
        this.report(error, where);
      }
    };
  }
}
