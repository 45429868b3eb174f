import type { OpenReceipt, Receipt } from './receipt.js';

/** From so many entries on those are removed that nobody waits for. */
const MIN_SWEEP = 16;

/** The frames of one session whose acknowledgement a sender waits for, by number. */
export class ReceiptList {
  private open: OpenReceipt[] = [];
  private sweepAt = MIN_SWEEP;

  get size(): number {
    return this.open.length;
  }

  add(number: number, receipt: Receipt): void {
    if (this.open.length >= this.sweepAt) this.sweep();
    let at = this.open.length;
    while (at > 0 && (this.open[at - 1] as OpenReceipt).number > number) at--;
    this.open.splice(at, 0, { number, receipt });
  }

  /** The client has the frames up to this one. */
  noteAcked(acked: number): void {
    const { open } = this;
    let count = 0;
    while (count < open.length && (open[count] as OpenReceipt).number <= acked) count++;
    if (count > 0) for (const { receipt } of open.splice(0, count)) receipt.settle(true);
  }

  /** The frames from `first` to `last` are lost. */
  noteLost(first: number, last: number): void {
    if (first > last || this.open.length === 0) return;
    const isLost = ({ number }: OpenReceipt): boolean => number >= first && number <= last;
    const lost = this.open.filter(isLost);
    if (lost.length === 0) return;
    this.open = this.open.filter(each => !isLost(each));
    for (const { receipt } of lost) receipt.settle(false);
  }

  /** Takes all that are waited for. */
  take(): readonly OpenReceipt[] {
    const { open } = this;
    this.open = [];
    return open.filter(({ receipt }) => !receipt.isOver);
  }

  /** The session has ended. */
  end(): void {
    for (const { receipt } of this.take()) receipt.settle(false);
  }

  /** A client that never acknowledges must not make the list grow without limit. */
  private sweep(): void {
    this.open = this.open.filter(({ receipt }) => !receipt.isOver);
    this.sweepAt = Math.max(MIN_SWEEP, this.open.length * 2);
  }
}
