import { Logger } from '@nestjs/common';
import { errorText, logText } from '@nestgate/protocol';
import { LineLimit } from './line-limit.js';

/** Lines of one level in a second, unless told otherwise. */
const LINES_PER_SECOND = 10;

/**
 * A logger for lines that somebody else can cause: a client, a peer, a server that is down. What it writes is on one line,
 * without control characters and of bounded length, the frames of a stack excepted; of an error it shows name, message and
 * stack only, because other properties may hold secrets. So many lines of a level come in a second, then one that says how many were left out.
 */
export class BoundedLog {
  private readonly logger: Logger;
  private readonly limit: LineLimit;

  /** @param context What stands before each line: the name of the part that writes it. */
  constructor(context: string, linesPerSecond: number = LINES_PER_SECOND) {
    this.logger = new Logger(context);
    this.limit = new LineLimit(linesPerSecond, (level, unlogged) => {
      this.logger.warn(`${unlogged} more lines (${level}) were not logged`);
    });
  }

  /** An error, or a text that says what went wrong. */
  error(what: unknown): void {
    if (!this.limit.admits('error')) return;
    const { line, stack } = errorText(what);
    if (stack === undefined) this.logger.error(line);
    else this.logger.error(line, stack);
  }

  warn(text: string): void {
    if (this.limit.admits('warn')) this.logger.warn(logText(text));
  }

  log(text: string): void {
    if (this.limit.admits('log')) this.logger.log(logText(text));
  }
}
