/** A period of backpressure. Senders can wait for its end. */
export class Congestion {
  private over: Promise<void> | undefined;
  private finish: (() => void) | undefined;

  begin(): void {
    this.over ??= new Promise(resolve => {
      this.finish = resolve;
    });
  }

  end(): void {
    this.finish?.();
    this.over = undefined;
    this.finish = undefined;
  }

  /** Settles when it is over; `undefined` when there is none. */
  whenOver(): Promise<void> | undefined {
    return this.over;
  }
}
