/** How long messages wait for others, in milliseconds: the shortest timer in Node. */
export const LINGER_MS = 1;
/** A batch of this many messages is sent at the end of its turn: a larger one would save little per message. */
const ENOUGH_MESSAGES = 16;
/** Messages wait when at least `MIN_TURNS_PER_MS` turns per millisecond send messages, and fewer than `MAX_PER_TURN` each. */
const MIN_TURNS_PER_MS = 2;
const MAX_PER_TURN = 4;
/** Length of a measuring window, in milliseconds. */
const WINDOW_MS = 50;
/** After this many windows in which messages waited, one follows in which they do not, to compare the rates. */
const MAX_WINDOWS = 20;
/** If the rate with waiting is below this part of the rate without, waiting slows the senders down. */
const MIN_RATE = 0.6;
/** How long messages then do not wait, in milliseconds. */
const PAUSE_MS = 1_000;

/**
 * Decides whether messages are sent at the end of their turn, or wait for those of the next turns. Each batch costs the sender, the
 * broker and the receiver a read, a write and a wake-up, independent of its size. When many turns send one message each, a wait of one
 * millisecond saves most of that cost. At low rates it would save nothing.
 *
 * Senders that wait for each answer before they send the next message send less when their messages wait. To detect this, the rate is
 * measured without waiting first. When the rate with waiting is much lower, messages do not wait for one second.
 */
export class Linger {
  /** Messages since the last batch was sent. */
  gathered = 0;
  private turns = 0;
  private messages = 0;
  private windowAt = 0;
  /** Number of windows in which messages still wait, unless the rate drops. */
  private windowsLeft = 0;
  /** Messages per millisecond, measured without waiting. */
  private rate = 0;
  private pausedUntil = 0;

  /** Called at the end of each turn in which messages were written. True when they wait. */
  waits(now: number): boolean {
    this.turns++;
    if (now - this.windowAt >= WINDOW_MS) this.endWindow(now);
    return this.windowsLeft > 0 && this.gathered < ENOUGH_MESSAGES;
  }

  /** The waiting messages are sent. */
  end(): void {
    this.messages += this.gathered;
    this.gathered = 0;
  }

  private endWindow(now: number): void {
    const elapsed = now - this.windowAt;
    const messages = this.messages + this.gathered;
    const rate = messages / elapsed;
    if (this.windowsLeft === 0) {
      this.rate = rate;
      const isBusy = this.turns >= elapsed * MIN_TURNS_PER_MS && messages < this.turns * MAX_PER_TURN;
      if (isBusy && now >= this.pausedUntil) this.windowsLeft = MAX_WINDOWS;
    } else if (rate < this.rate * MIN_RATE) {
      this.windowsLeft = 0;
      this.pausedUntil = now + PAUSE_MS;
    } else {
      this.windowsLeft--;
    }
    this.windowAt = now;
    this.turns = 0;
    this.messages = -this.gathered;
  }
}
