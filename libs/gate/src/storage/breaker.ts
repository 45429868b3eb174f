import { within } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';

/** How long calls are refused at once after one has timed out, in milliseconds. */
const BREAK_MS = 1_000;
/** Calls that may be left unanswered before not even a probe is sent. */
const MAX_LATE = 16;

/**
 * Bounds the time of calls to a server, and keeps them from piling up when it hangs: after the first one that is late,
 * calls are refused at once, but for one probe a second. Any answer, a late one too, ends that.
 */
export class Breaker {
  /** Calls that have timed out and have not been answered yet. */
  private readonly late = new Set<Promise<unknown>>();
  private brokenUntil: number | undefined;
  private probing = false;

  constructor(
    private readonly timeoutMs: number,
    private readonly onLate: (error: GateError) => void,
  ) {}

  /** True from the first late call on, until an answer has come. */
  get isOpen(): boolean {
    return this.brokenUntil !== undefined;
  }

  /** @throws {GateError} `STORAGE_UNAVAILABLE` when the call is refused or late; else what the call rejects with. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    const isProbe = this.brokenUntil !== undefined;
    if (this.brokenUntil !== undefined) {
      if (this.probing || performance.now() < this.brokenUntil || this.late.size >= MAX_LATE) {
        throw new GateError('STORAGE_UNAVAILABLE');
      }
      this.probing = true;
    }
    try {
      const answer = call();
      const result = await within(answer, this.timeoutMs, () => {
        throw this.break(answer);
      });
      if (isProbe) this.reset();
      return result;
    } finally {
      if (isProbe) this.probing = false;
    }
  }

  /** The server is known to work again. */
  reset(): void {
    this.brokenUntil = undefined;
    this.late.clear();
  }

  private break(answer: Promise<unknown>): GateError {
    this.brokenUntil = performance.now() + BREAK_MS;
    this.late.add(answer);
    answer.then(
      () => {
        if (this.late.has(answer)) this.reset();
      },
      () => this.late.delete(answer),
    );
    const error = new GateError(
      'STORAGE_UNAVAILABLE',
      `The session storage did not answer within ${this.timeoutMs} ms`,
    );
    this.onLate(error);
    return error;
  }
}
