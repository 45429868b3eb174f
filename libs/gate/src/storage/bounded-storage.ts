import type { SessionSnapshot } from '@nestgate/link';
import { inAsyncScope } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { BoundedLog } from '@nestgate/worker/internal';
import type { GateCounters } from '../gate-counters.js';
import { checkNumbers, DEFAULT_CALL_MS, MAX_CALL_MS } from './storage-handler.js';
import type { SettingsChange, StorageHandler, StorageLimits } from './storage-handler.js';

/** An outage fails thousands of calls, which must not become as many lines. */
const LINES_PER_SECOND = 1;
/**
 * How long the storage may take for all that one request needs, waiting for earlier requests of the session included: more than one call
 * may take, and less than those who ask the gate wait, which is 5 s.
 */
const REQUEST_MS = { perCall: 1.8, min: 900, max: 4_500 };

/**
 * @throws {GateError} `STORAGE_UNAVAILABLE` when the answer comes after the deadline, a time of `performance.now()`, or takes longer than
 * `maxMs`; else what `call` rejects with.
 */
export function inTime<T>(deadline: number, call: () => T | Promise<T>, maxMs = Infinity): Promise<T> {
  // One promise and two callbacks. `Promise.race` makes several of each, and each login comes here twice.
  return new Promise<T>((resolve, reject) => {
    const ms = Math.min(maxMs, deadline - performance.now());
    if (ms <= 0) throw new TooSlow();
    const answer = Promise.resolve(call());
    const timer = setTimeout(() => reject(new TooSlow()), ms);
    answer.then(
      value => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        // Whatever the storage rejects with.
        reject(error);
      },
    );
  });
}

const NO_CODES: ReadonlySet<string> = new Set();
const LIMIT_ONLY: ReadonlySet<string> = new Set(['LIMIT_EXCEEDED']);

class TooSlow extends GateError {
  constructor() {
    super('STORAGE_UNAVAILABLE', 'The session storage is too slow');
  }
}

/**
 * A storage that may hang, throw, or answer nonsense, whatever it promises: each call ends in time, and rejects with
 * nothing but `STORAGE_UNAVAILABLE`, or, for a change, `LIMIT_EXCEEDED`. Failures are counted and logged.
 */
export class BoundedStorage {
  private readonly log = new BoundedLog('SessionStorage', LINES_PER_SECOND);
  /** How long one call may take, and all calls of one request, in milliseconds. */
  private readonly callMs: number;
  private readonly requestMs: number;

  /** @throws {GateError} `BAD_ARGUMENT` for a handler whose `callTimeoutMs` cannot be. */
  constructor(
    private readonly handler: StorageHandler,
    private readonly counters: GateCounters,
  ) {
    // What has the methods need not extend the class.
    const { callTimeoutMs = DEFAULT_CALL_MS } = handler as Partial<StorageHandler>;
    checkNumbers({ callTimeoutMs }, MAX_CALL_MS);
    this.callMs = callTimeoutMs;
    this.requestMs = Math.min(REQUEST_MS.max, Math.max(REQUEST_MS.min, REQUEST_MS.perCall * callTimeoutMs));
  }

  /** When a request that comes now must have its answer, as a time of `performance.now()`. */
  newDeadline(): number {
    return performance.now() + this.requestMs;
  }

  /**
   * Loads the stored value of a user. It may be anything, since applications can replace the handler. A value that the handler discards,
   * or is larger than `maxBytes`, is counted.
   */
  query(userId: string, maxBytes: number, deadline: number): Promise<unknown> {
    return this.call(deadline, () => this.handler.query(userId, this.limits(maxBytes)));
  }

  /** @throws {GateError} `LIMIT_EXCEEDED` when the change would make what is stored too large, and nothing has changed. */
  storage(session: SessionSnapshot, change: SettingsChange, maxBytes: number, deadline: number): Promise<void> {
    return this.call(deadline, () => this.handler.storage(session, change, this.limits(maxBytes)), LIMIT_ONLY);
  }

  delete(userId: string, deadline: number): Promise<void> {
    return this.call(deadline, () => this.handler.delete(userId));
  }

  heartbeat(sessions: readonly SessionSnapshot[], deadline: number): Promise<void> {
    return this.call(deadline, () => this.handler.heartbeat(sessions));
  }

  /** What the handler gives of this user cannot be used, and is left out of the session. */
  noteUnusable(userId: string, error: unknown): void {
    this.counters.add('storage_failures', 'quarantined');
    const why = error instanceof Error ? error.message : String(error);
    this.log.error(`What is stored of user ${JSON.stringify(userId)} cannot be used: ${JSON.stringify(why)}`);
  }

  private limits(maxBytes: number): StorageLimits {
    return { maxBytes, onQuarantine: () => this.counters.add('storage_failures', 'quarantined') };
  }

  private async call<T>(deadline: number, call: () => Promise<T>, passed = NO_CODES): Promise<T> {
    try {
      return await inTime(deadline, () => inAsyncScope(call), this.callMs);
    } catch (error) {
      const code = codeOf(error);
      if (passed.has(code)) throw error;
      this.counters.add('storage_failures', code);
      // A handler that says so itself has logged why.
      if (code !== 'STORAGE_UNAVAILABLE' || error instanceof TooSlow) this.log.error(error);
      throw new GateError('STORAGE_UNAVAILABLE');
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof GateError ? error.code : 'error';
}
