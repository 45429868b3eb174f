import { ConsoleLogger, type ConsoleLoggerOptions, type LogLevel } from '@nestjs/common';
import { assertKnownOptions, kindOf, optionKeys } from '@nestgate/link/internal';
import { errorText, GateError, logJson, logText } from '@nestgate/protocol';
import { LineLimit } from './line-limit.js';

/** Lines of errors and warnings of one context in a second, unless told otherwise. */
const LINES_PER_SECOND = 20;
/** Characters of a line that the application writes itself: generous, but bounded. */
const MAX_LINE = 4_000;

/** Lines of a context in a second that may be asked for; `Infinity` is allowed too. */
const MAX_LINES_PER_SECOND = 1_000_000;
const LEVELS: readonly LogLevel[] = ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'];

export interface SafeLoggerOptions extends ConsoleLoggerOptions {
  /** Errors and warnings of one context in a second; what is beyond is counted. @defaultValue 20 */
  readonly linesPerSecond?: number | undefined;
}

const KEYS = optionKeys<SafeLoggerOptions>({
  linesPerSecond: true,
  logLevels: true,
  timestamp: true,
  prefix: true,
  json: true,
  colors: true,
  context: true,
  forceConsole: true,
  compact: true,
  maxArrayLength: true,
  maxStringLength: true,
  sorted: true,
  depth: true,
  showHidden: true,
  breakLength: true,
  structuredParams: true,
  flattenParams: true,
  redact: true,
});
const FLAGS = [
  'timestamp',
  'json',
  'colors',
  'forceConsole',
  'showHidden',
  'structuredParams',
  'flattenParams',
] as const;
const TEXTS = ['prefix', 'context'] as const;

/**
 * A console logger for the whole app, Nest's own lines included: Nest logs each error that no filter takes, so that a client
 * whose messages make a handler throw can write a log line with each of them. Text is escaped (`\u001b` for an ESC), errors are shown by name,
 * message and stack only, and errors and warnings are limited in number. With `json: true` each line is a JSON object as Nest writes
 * it, with an error as `error: { name, message, stack }`; what is read from it is the text itself.
 *
 * ```ts
 * NestFactory.create(AppModule, { logger: new SafeLogger() })
 * ```
 */
export class SafeLogger extends ConsoleLogger {
  private readonly limit: LineLimit;
  private readonly isJson: boolean;

  /** @throws {GateError} `BAD_ARGUMENT` for unknown options, and for values that cannot be. */
  constructor(given: SafeLoggerOptions = {}) {
    checkOptions(given);
    const { linesPerSecond = LINES_PER_SECOND, ...options } = given;
    super(options);
    this.isJson = options.json === true;
    this.limit = new LineLimit(linesPerSecond, (kind, unlogged) => {
      const [context = ''] = kind.split('\n');
      super.warn(`${unlogged} more lines were not logged`, context);
    });
  }

  override error(message: unknown, ...rest: unknown[]): void {
    if (!this.admits('error', rest)) return;
    // `Logger` gives `undefined` where it has no stack.
    const given = rest[0] === undefined ? rest.slice(1) : rest;
    if (this.isJson) return super.error(message, ...given);
    if (!(message instanceof Error)) return super.error(message, ...rest.map(safeStack));
    const { line, stack } = errorText(message);
    const others = given.map(safeStack);
    super.error(line, ...(stack === undefined ? [] : [stack]), ...others);
  }

  override warn(message: unknown, ...rest: unknown[]): void {
    if (this.admits('warn', rest)) super.warn(message, ...rest);
  }

  override fatal(message: unknown, ...rest: unknown[]): void {
    super.fatal(message, ...(this.isJson ? rest : rest.map(safeStack)));
  }

  /** Other properties of an error may hold anything, such as the arguments of a command with a password among them. */
  protected override serializeError(error: Error): Record<string, unknown> {
    const { name, message, stack } = error;
    return { name, message, stack };
  }

  /** JSON has escapes of its own: what is unsafe in a line is written with them, and read as it was. */
  protected override stringifyJsonLogObject(logObject: Record<string, unknown>): string {
    const bounded = Object.entries(logObject).map(([key, value]) => [key, cutText(value)]);
    return logJson(super.stringifyJsonLogObject(Object.fromEntries(bounded) as Record<string, unknown>));
  }

  /** What stands on the line. */
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

function checkOptions(options: SafeLoggerOptions): void {
  assertKnownOptions('SafeLogger', options, KEYS);
  const refuse = (key: keyof SafeLoggerOptions, allowed: string, value: unknown = options[key]): never => {
    throw new GateError('BAD_ARGUMENT', `SafeLogger: option ${key} must be ${allowed}, but ${shown(value)} was given`);
  };
  const { logLevels } = options;
  const { linesPerSecond: lines = LINES_PER_SECOND } = options;
  const isCount = Number.isInteger(lines) && lines >= 1 && lines <= MAX_LINES_PER_SECOND;
  if (!isCount && lines !== Infinity) {
    refuse('linesPerSecond', `an integer from 1 to ${MAX_LINES_PER_SECOND}, or Infinity`);
  }
  for (const key of FLAGS) if (!['boolean', 'undefined'].includes(typeof options[key])) refuse(key, 'true or false');
  for (const key of TEXTS) if (!['string', 'undefined'].includes(typeof options[key])) refuse(key, 'a string');
  if (logLevels === undefined) return;
  if (!Array.isArray(logLevels)) refuse('logLevels', `an array of ${LEVELS.join(', ')}`);
  const unknown: unknown = logLevels.find(level => !LEVELS.includes(level));
  if (unknown !== undefined) refuse('logLevels', `an array of ${LEVELS.join(', ')}`, unknown);
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number'
    ? logText(typeof value === 'string' ? JSON.stringify(value) : String(value), 80)
    : kindOf(value);
}

/** A value of a JSON line, its texts and those of an error in it cut. */
function cutText(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.length > MAX_LINE ? `${value.slice(0, MAX_LINE)}… (${value.length - MAX_LINE} more)` : value;
  }
  if (typeof value !== 'object' || value === null || !('stack' in value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, text]) => [key, typeof text === 'string' ? cutText(text) : text]),
  );
}

/** A stack that comes as text has its line ends; each of its lines is made safe by itself. */
function safeStack(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return value
    .split('\n')
    .map(line => logText(line))
    .join('\n');
}
