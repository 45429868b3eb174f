import { Deadline, DeadlineWheel, type ReportDefect } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import type { BoundedLog } from '@nestgate/worker/internal';

/** Time limit for hooks, so that a hook that never settles does not block its caller forever. One timer serves all of them. */
export class HookTimeout {
  private readonly wheel = new DeadlineWheel(undefined, error => this.reportDefect(error, 'hooks'));

  /** `hooks`: their name in the log. */
  constructor(
    private readonly limitMs: number,
    private readonly log: BoundedLog,
    private readonly hooks: string,
    private readonly reportDefect: ReportDefect,
  ) {}

  /** Settles as the hook does, or rejects with `TIMEOUT`. */
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
