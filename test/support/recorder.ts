import { Logger, type LoggerService } from '@nestjs/common';

/** One line that was logged: level, text, and the rest of what Nest gives. */
export interface LogLine {
  readonly level: string;
  readonly text: string;
  readonly rest: readonly unknown[];
}

/** Keeps what is logged, in place of printing it; debug lines only where they are asked for. */
export class Recorder implements LoggerService {
  readonly lines: LogLine[] = [];
  readonly log = this.taking('log');
  readonly warn = this.taking('warn');
  readonly error = this.taking('error');
  readonly debug?: (text: unknown, ...rest: unknown[]) => void;

  constructor({ debug = false }: { readonly debug?: boolean } = {}) {
    if (debug) this.debug = this.taking('debug');
  }

  /** A recorder in the place of the logger of this process. */
  static capture(): Recorder {
    const recorder = new Recorder();
    Logger.overrideLogger(recorder);
    return recorder;
  }

  get texts(): readonly string[] {
    return this.lines.map(({ text }) => text);
  }

  /** The lines with this text in them, of one level or all. */
  with(part: string, level?: string): readonly LogLine[] {
    return this.lines.filter(line => line.text.includes(part) && (level === undefined || line.level === level));
  }

  /** The lines of a level with this text in them, as `<level> <text>`. */
  of(level: string, part = ''): string[] {
    return this.with(part, level).map(({ text }) => `${level} ${text}`);
  }

  /** The texts that match. */
  matching(pattern: RegExp): readonly string[] {
    return this.texts.filter(text => pattern.test(text));
  }

  private taking(level: string) {
    return (text: unknown, ...rest: unknown[]): void => void this.lines.push({ level, text: String(text), rest });
  }
}
