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
    const leftMs = Math.min(waitMs, (this.until as number) - performance.now());
    // A timer may fire up to a millisecond early: the rest of that is no time to wait for.
    if (leftMs < 1) {
      // Whoever starts the node is told.
      opening.catch(() => undefined);
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>(resolve => {
      timer = setTimeout(resolve, leftMs);
    });
    try {
      await Promise.race([opening.then(() => this.come), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
