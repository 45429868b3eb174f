import { BoundedLog } from '@nestgate/worker/internal';

/** Lines about refusals of one kind in a second. */
const LINES_PER_SECOND = 1;
/** Kinds that are logged apart; further ones share a limit. */
const MAX_KINDS = 32;

/**
 * Tells the log of clients that are refused: with what differed, and the option that decides. Each kind has a limit of its own,
 * so that many refusals of one do not hide another.
 */
export class RefusalLog {
  private readonly logs = new Map<string, BoundedLog>();

  /** @param context What stands before each line. */
  constructor(private readonly context: string) {}

  /** `kind` is an HTTP status, a close code, or what else the refusal is counted by. */
  add(kind: string | number, hint: string): void {
    this.logOf(String(kind)).warn(`${kind} ${hint}`);
  }

  private logOf(kind: string): BoundedLog {
    const key = this.logs.has(kind) || this.logs.size < MAX_KINDS ? kind : '';
    let log = this.logs.get(key);
    if (!log) this.logs.set(key, (log = new BoundedLog(this.context, LINES_PER_SECOND)));
    return log;
  }
}
