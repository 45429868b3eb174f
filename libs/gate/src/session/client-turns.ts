import { within } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';

/** Serializes tasks on each client; tasks on different clients do not wait for each other. */
export class ClientTurns {
  /** The last task of a client that is not done yet. */
  private readonly last = new Map<ClientAgent, Promise<unknown>>();

  /**
   * Runs a task after those before it, however these end. Rejects with what the task throws.
   * @throws {GateError} `SESSION_NOT_FOUND` when the client has disconnected while the task waited.
   */
  run(agent: ClientAgent, task: () => void | Promise<void>): Promise<void> {
    const turn = (): void | Promise<void> => {
      assertHere(agent);
      return task();
    };
    const before = this.last.get(agent);
    const run = before ? before.then(turn, turn) : new Promise<void>(resolve => resolve(turn()));
    this.last.set(agent, run);
    return run.finally(() => {
      if (this.last.get(agent) === run) this.last.delete(agent);
    });
  }

  /** Resolves with true when no task of a client is left, or with false after `limitMs`. */
  async whenIdle(agent: ClientAgent, limitMs: number): Promise<boolean> {
    const until = performance.now() + limitMs;
    for (let task = this.last.get(agent); task; task = this.last.get(agent)) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) return false;
      await within(
        task.catch(() => undefined),
        leftMs,
        () => undefined,
      );
    }
    return true;
  }
}

/** @throws {GateError} `SESSION_NOT_FOUND` when a client has disconnected. */
export function assertHere(agent: ClientAgent): void {
  if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
}
