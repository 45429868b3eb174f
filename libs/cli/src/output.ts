import { InvalidArgumentError } from 'commander';
import { logText } from '@nestgate/protocol';

/** Longest text in a cell of a table. */
const MAX_CELL = 60;

/** Where a command writes: tables for people, or JSON for programs. */
export class Output {
  constructor(
    readonly isJson: boolean,
    private readonly write: (text: string) => void = text => void process.stdout.write(text),
    private readonly hasColours = process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  ) {}

  /** A list: a table with a column for each key, or one JSON document. */
  table<T extends object>(rows: readonly T[], columns: Readonly<Record<string, (row: T) => unknown>>): void {
    if (this.isJson) return this.json(rows);
    const heads = Object.keys(columns);
    const cells = rows.map(row => Object.values(columns).map(read => cellOf(read(row))));
    const widths = heads.map((head, i) => Math.max(head.length, ...cells.map(line => line[i]?.length ?? 0)));
    const lineOf = (line: readonly string[]): string =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd();
    this.line(this.bold(lineOf(heads)));
    for (const line of cells) this.line(lineOf(line));
  }

  /** One thing with its fields. */
  fields(value: object): void {
    if (this.isJson) return this.json(value);
    const entries = Object.entries(value);
    const width = Math.max(0, ...entries.map(([key]) => key.length));
    for (const [key, field] of entries) this.line(`${this.bold(key.padEnd(width))}  ${textOf(field)}`);
  }

  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  good(text: string): string {
    return this.colour('32', text);
  }

  bad(text: string): string {
    return this.colour('31', text);
  }

  faint(text: string): string {
    return this.colour('2', text);
  }

  private bold(text: string): string {
    return this.colour('1', text);
  }

  private colour(code: string, text: string): string {
    return this.hasColours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** Text of clients must not drive the terminal. */
function cellOf(value: unknown): string {
  return logText(textOf(value), MAX_CELL);
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? logText(value) : logText(JSON.stringify(value));
}

/** Milliseconds as people say them. */
export function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h${Math.floor((seconds % 3_600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3_600)}h`;
}

/** Bytes as people say them. */
export function bytesText(bytes: number): string {
  return bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** `5s`, `200ms`, `2m` or a number of milliseconds. @throws {InvalidArgumentError} for other texts. */
export function parseDuration(text: string): number {
  const [, number, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const factor = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit];
  if (number === undefined || factor === undefined)
    throw new InvalidArgumentError(`"${text}" is not a duration such as 500ms, 5s or 2m`);
  return Number(number) * factor;
}
