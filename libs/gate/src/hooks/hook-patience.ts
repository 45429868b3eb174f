import { Deadline, DeadlineWheel, type ReportDefect } from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import type { BoundedLog } from '@nestgate/worker';

/** Bounds how long hooks may take: what waits for one that never ends would wait for ever. One timer for all of them. */
export class HookPatience {
  private readonly wheel = new DeadlineWheel(undefined, error => this.reportDefect(error, 'hooks'));

  /** `hooks`: what they are called in the log. */
  constructor(
    private readonly limitMs: number,
    private readonly log: BoundedLog,
    private readonly hooks: string,
    private readonly reportDefect: ReportDefect,
  ) {}

  /** Ends as the hook does, or with `TIMEOUT`. */
  bound<T>(running: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = new HookEnd(() => {
        this.log.warn(`${this.hooks} did not end within ${this.limitMs} ms`);
        reject(new GateError('TIMEOUT'));
      });
      this.wheel.add(end, performance.now() + this.limitMs);
      const stop = (): void => this.wheel.remove(end);
      running.then(resolve, reject).then(stop, stop);
    });
  }

  stop(): void {
    this.wheel.stop();
  }
}

class HookEnd extends Deadline {
  constructor(private readonly onExpire: () => void) {
    super();
  }

  override expire(): void {
    this.onExpire();
  }
}
