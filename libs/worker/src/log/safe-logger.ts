import { ConsoleLogger, type ConsoleLoggerOptions, type LogLevel } from '@nestjs/common';
import { errorText, logText } from '@nestgate/protocol';
import { LineLimit } from './line-limit.js';

/** Lines of errors and warnings of one context in a second, unless told otherwise. */
const LINES_PER_SECOND = 20;
/** Characters of a line that the application writes itself: generous, but bounded. */
const MAX_LINE = 4_000;

export interface SafeLoggerOptions extends ConsoleLoggerOptions {
  /** Errors and warnings of one context in a second; what is beyond is counted. @defaultValue 20 */
  readonly linesPerSecond?: number | undefined;
}

/**
 * A console logger for the whole app, Nest's own lines included: Nest logs each error that no filter takes, so that a client
 * whose messages make a handler throw can write a log line with each of them. Text is escaped (`\u001b` for an ESC), errors are shown by name,
 * message and stack only, and errors and warnings are limited in number.
 *
 * ```ts
 * NestFactory.create(AppModule, { logger: new SafeLogger() })
 * ```
 */
export class SafeLogger extends ConsoleLogger {
  private readonly limit: LineLimit;

  constructor({ linesPerSecond = LINES_PER_SECOND, ...options }: SafeLoggerOptions = {}) {
    super(options);
    this.limit = new LineLimit(linesPerSecond, (kind, unlogged) => {
      const [context = ''] = kind.split('\n');
      super.warn(`${unlogged} more lines were not logged`, context);
    });
  }

  override error(message: unknown, ...rest: unknown[]): void {
    if (!this.admits('error', rest)) return;
    if (!(message instanceof Error)) return super.error(message, ...rest.map(safeStack));
    const { line, stack } = errorText(message);
    // `Logger` gives `undefined` where it has no stack.
    const others = (rest[0] === undefined ? rest.slice(1) : rest).map(safeStack);
    super.error(line, ...(stack === undefined ? [] : [stack]), ...others);
  }

  override warn(message: unknown, ...rest: unknown[]): void {
    if (this.admits('warn', rest)) super.warn(message, ...rest);
  }

  override fatal(message: unknown, ...rest: unknown[]): void {
    super.fatal(message, ...rest.map(safeStack));
  }

  /** What stands on the line; JSON has escapes of its own. */
  protected override stringifyMessage(message: unknown, level: LogLevel): string {
    const text: unknown = message instanceof Error ? errorText(message).line : message;
    if (typeof text === 'string') return super.stringifyMessage(logText(text, MAX_LINE), level);
    return super.stringifyMessage(text, level);
  }

  private admits(level: LogLevel, rest: readonly unknown[]): boolean {
    const context = rest.at(-1);
    return !this.isLevelEnabled(level) || this.limit.admits(`${typeof context === 'string' ? context : ''}\n${level}`);
  }
}

/** A stack that comes as text has its line ends; each of its lines is made safe by itself. */
function safeStack(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return value
    .split('\n')
    .map(line => logText(line))
    .join('\n');
}
