/** Counts what is in flight, and tells when nothing is. */
export class InFlight {
  count = 0;
  private onIdle: (() => void) | undefined;

  add(): void {
    this.count++;
  }

  end(): void {
    if (--this.count === 0) this.onIdle?.();
  }

  /** Resolves when nothing is in flight, or after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    if (this.count === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>(resolve => {
      this.onIdle = resolve;
      timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
  }
}
