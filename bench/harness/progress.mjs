/** How often a log gets a line, in milliseconds. */
const LOG_EVERY_MS = 5_000;
const TERMINAL_EVERY_MS = 250;

/** @param {number} ms */
function minutes(ms) {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** One line about what runs and what is left: rewritten on a terminal, written now and then elsewhere. */
export class Progress {
  /** @param {number} totalMs how long all takes, about */
  constructor(totalMs) {
    /** @private @readonly */
    this.totalMs = totalMs;
    /** @private */
    this.doneMs = 0;
    /** @private */
    this.what = '';
    /** @private @readonly */
    this.startedAt = Date.now();
    /** @private @readonly */
    this.isTerminal = process.stderr.isTTY;
    /** @private @readonly */
    this.timer = setInterval(() => this.show(), this.isTerminal ? TERMINAL_EVERY_MS : LOG_EVERY_MS);
    this.timer.unref();
  }

  /** @param {string} what */
  now(what) {
    this.what = what;
    if (this.isTerminal) this.show();
  }

  /** @param {number} ms how long the finished part was expected to take */
  done(ms) {
    this.doneMs += ms;
  }

  end() {
    clearInterval(this.timer);
    if (this.isTerminal) process.stderr.write('\r\u001B[K');
  }

  /** @private */
  show() {
    const elapsed = Date.now() - this.startedAt;
    // What has been done says how well the estimate fits this machine.
    const pace = this.doneMs > 0 ? Math.max(0.5, Math.min(4, elapsed / this.doneMs)) : 1;
    const left = minutes(this.totalMs * pace - elapsed);
    const line = `${minutes(elapsed)} gone, about ${left} left: ${this.what}`;
    process.stderr.write(this.isTerminal ? `\r\u001B[K${line}` : `${line}\n`);
  }
}
