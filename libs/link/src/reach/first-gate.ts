import { within } from '../common/within.js';
import { present } from '../common/checked.js';

/** How long calls wait for the first gate after the start, in milliseconds, unless the node says otherwise. */
export const GATE_WAIT_MS = 3_000;

/** The wait for the first gate, which a process has once: its time runs from its first call or its start. */
export class FirstGate {
  /** Whether there has been a gate. */
  hasCome = false;
  private until: number | undefined;
  private resolve: () => void = () => undefined;
  private readonly come = new Promise<void>(resolve => {
    this.resolve = resolve;
  });

  constructor(private readonly waitMs: number) {}

  /** The time begins, unless it has. */
  begin(): void {
    this.until ??= performance.now() + this.waitMs;
  }

  /** There is a gate. */
  note(): void {
    this.hasCome = true;
    this.resolve();
  }

  /**
   * Resolves when the link is open and there is a gate, or after `waitMs`, or when the time is over. Rejects when the link
   * cannot be opened.
   */
  async wait(opening: Promise<void>, waitMs: number): Promise<void> {
    this.begin();
    const leftMs = Math.min(waitMs, present(this.until) - performance.now());
    // A timer may fire up to a millisecond early: the rest of that is no time to wait for.
    if (leftMs < 1) {
      // The caller that starts the node receives the error.
      opening.catch(() => undefined);
      return;
    }
    await within(
      opening.then(() => this.come),
      leftMs,
      () => undefined,
    );
  }
}
