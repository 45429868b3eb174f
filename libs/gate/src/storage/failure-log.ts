import { Logger } from '@nestjs/common';

/** How long nothing more is logged after a line, in milliseconds. */
const QUIET_MS = 1_000;

/** Logs what fails, one line a second at most: an outage fails thousands of calls, which must not become as many lines. */
export class FailureLog {
  private readonly logger: Logger;
  private quietUntil = 0;
  private unlogged = 0;

  constructor(name: string) {
    this.logger = new Logger(name);
  }

  add(what: unknown): void {
    const now = performance.now();
    if (now < this.quietUntil) {
      this.unlogged++;
      return;
    }
    if (this.unlogged > 0) this.logger.warn(`${this.unlogged} more failures were not logged`);
    this.logger.error(what);
    this.quietUntil = now + QUIET_MS;
    this.unlogged = 0;
  }
}
