/** How long messages wait for others, in milliseconds: the shortest time that a timer of Node can wait. */
export const LINGER_MS = 1;
/** A batch of so many messages leaves at the end of its turn: more of them would not make each much cheaper. */
const ENOUGH_MESSAGES = 16;
/** Messages wait when so many turns per millisecond send something, and fewer messages each than this. */
const MIN_TURNS_PER_MS = 2;
const MAX_PER_TURN = 4;
/** How long rates are measured, in milliseconds. */
const WINDOW_MS = 50;
/** After so many windows in which messages waited there is one in which they do not, to compare the rates. */
const MAX_WINDOWS = 20;
/** Below this part of the rate without waiting, it is the waiting that slows the senders down. */
const MIN_RATE = 0.6;
/** How long messages do not wait after that, in milliseconds. */
const PAUSE_MS = 1_000;

/**
 * Decides whether messages leave at the end of their turn, or wait for those of the next turns. Each batch costs the sender, the
 * broker and the receiver a read, a write and a wake-up, whatever is in it: when many turns send one message each, waiting for a
 * millisecond saves most of that. At low rates nothing would be saved.
 *
 * Senders that wait for each answer before they send the next message would send less when their messages wait. That is seen
 * by the rate, which is measured without waiting first: when it drops, messages do not wait for a second.
 */
export class Linger {
  /** Messages that have gathered since the last batch left. */
  gathered = 0;
  private turns = 0;
  private messages = 0;
  private windowAt = 0;
  /** Windows for which messages still wait, unless the rate drops. */
  private windowsLeft = 0;
  /** Messages per millisecond before they began to wait. */
  private rate = 0;
  private pausedUntil = 0;

  /** Called at the end of each turn in which messages were gathered. True when they wait. */
  waits(now: number): boolean {
    this.turns++;
    if (now - this.windowAt >= WINDOW_MS) this.endWindow(now);
    return this.windowsLeft > 0 && this.gathered < ENOUGH_MESSAGES;
  }

  /** What has gathered leaves. */
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
