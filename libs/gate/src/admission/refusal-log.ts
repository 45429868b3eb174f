import { BoundedLog } from '@nestgate/worker/internal';

/** Maximum log lines per second for one kind of refusal. */
const LINES_PER_SECOND = 1;
/** Maximum number of kinds with their own limit; further kinds share one. */
const MAX_KINDS = 32;

/**
 * Logs refused clients with the reason and the option that decides about it. Each kind of refusal has its own rate limit, so that many
 * refusals of one kind do not hide another.
 */
export class RefusalLog {
  private readonly logs = new Map<string, BoundedLog>();

  /** @param context The context of the log lines. */
  constructor(private readonly context: string) {}

  /** `kind` is an HTTP status, a close code, or another label of the counter. */
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
