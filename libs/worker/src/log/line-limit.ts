/** How long lines of one kind are counted together, in milliseconds. */
const WINDOW_MS = 1_000;
/** Kinds that are counted apart; more of them share one count. */
const MAX_KINDS = 256;

interface Window {
  readonly kind: string;
  ends: number;
  lines: number;
  unlogged: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Lets so many log lines of a kind through in a second. Of those that it does not let through it tells once, when the second
 * is over: a flood of errors must not become a flood of lines, and must not be hidden either.
 */
export class LineLimit {
  private readonly windows = new Map<string, Window>();

  /** `summarize` receives the number of omitted lines of a kind. */
  constructor(
    private readonly linesPerSecond: number,
    private readonly summarize: (kind: string, unlogged: number) => void,
  ) {}

  /** Whether a line of this kind may be logged now. */
  admits(kind: string): boolean {
    const now = performance.now();
    const window = this.windowOf(kind);
    if (now >= window.ends) {
      this.close(window);
      window.ends = now + WINDOW_MS;
      window.lines = 0;
    }
    if (window.lines < this.linesPerSecond) {
      window.lines++;
      return true;
    }
    window.unlogged++;
    // Only a flood has a timer; it keeps no process alive.
    window.timer ??= setTimeout(() => this.close(window), Math.max(0, window.ends - now)).unref();
    return false;
  }

  private windowOf(kind: string): Window {
    const key = this.windows.has(kind) || this.windows.size < MAX_KINDS ? kind : '';
    let window = this.windows.get(key);
    if (!window) {
      window = { kind: key, ends: 0, lines: 0, unlogged: 0, timer: undefined };
      this.windows.set(key, window);
    }
    return window;
  }

  private close(window: Window): void {
    const { unlogged, kind } = window;
    clearTimeout(window.timer);
    window.timer = undefined;
    window.unlogged = 0;
    if (unlogged > 0) this.summarize(kind, unlogged);
  }
}
