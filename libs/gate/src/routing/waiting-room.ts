import { Deadline } from '@nestgate/link/internal';
import type { Body } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';

/** Frames that wait for a worker, on all clients of a gate together. */
export const MAX_WAITING = 10_000;

/** A frame whose module has no worker at the moment. The frames behind it wait with its client. */
export class WaitingFrame extends Deadline {
  constructor(
    readonly agent: ClientAgent,
    readonly topic: string,
    readonly module: string,
    readonly body: Body,
    readonly id: number,
    readonly isStream: boolean,
    /** When the whole request ends, in milliseconds of `performance.now()`. */
    readonly requestDeadline: number,
    private readonly onExpire: (frame: WaitingFrame) => void,
  ) {
    super();
  }

  override expire(): void {
    this.onExpire(this);
  }
}
