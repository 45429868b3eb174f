import { Logger } from '@nestjs/common';
import { errorText, type ErrorText, logText } from '@nestgate/protocol';
import { LineLimit } from './line-limit.js';

/** Lines of one level in a second, unless told otherwise. */
const LINES_PER_SECOND = 10;
/** Characters of a line that nestgate writes; what others have said in it is shorter. */
const MAX_LINE = 600;

/**
 * A logger for lines that others can cause: a client, a peer, a server that is down. What it writes is on one line,
 * without control characters and of bounded length, the frames of a stack excepted; of an error it shows name, message and
 * stack only, because other properties may hold secrets. It never throws: a logger of the application may, and lines are written
 * where nobody can catch that. So many lines of a level come in a second, then one that says how many were left out.
 */
export class BoundedLog {
  private readonly logger: Logger;
  private readonly limit: LineLimit;

  /** @param context What stands before each line: the name of the part that writes it. */
  constructor(context: string, linesPerSecond: number = LINES_PER_SECOND) {
    this.logger = new Logger(context);
    this.limit = new LineLimit(linesPerSecond, (level, unlogged) => {
      quietly(() => this.logger.warn(`${unlogged} more lines (${level}) were not logged`));
    });
  }

  /** An error, or a text that says what went wrong. `where` stands before it. */
  error(what: unknown, where?: string): void {
    if (!this.limit.admits('error')) return;
    quietly(() => {
      const { line, stack } = textOf(what);
      const place = where === undefined ? '' : `${where}: `;
      if (stack === undefined) this.logger.error(place + line);
      else this.logger.error(place + line, stack);
    });
  }

  /** `max`: how many characters of the text are shown. */
  warn(text: string, max: number = MAX_LINE): void {
    if (this.limit.admits('warn')) quietly(() => this.logger.warn(logText(text, max)));
  }

  log(text: string): void {
    if (this.limit.admits('log')) quietly(() => this.logger.log(logText(text, MAX_LINE)));
  }

  debug(text: string): void {
    if (this.limit.admits('debug')) quietly(() => this.logger.debug(logText(text)));
  }
}

/** Ignores the failure of a logger: it cannot be logged. */
function quietly(write: () => void): void {
  try {
    write();
  } catch {
    // Its lines are lost.
  }
}

/** The text of an error, also of one that throws when it is looked at. */
function textOf(what: unknown): ErrorText {
  try {
    return errorText(what);
  } catch {
    return { line: 'An error that cannot be shown', stack: undefined };
  }
}
