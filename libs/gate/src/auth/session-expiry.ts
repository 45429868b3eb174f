import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Deadline, DeadlineWheel, LinkNode } from '@nestgate/link';
import { CLOSE } from '@nestgate/protocol';
import { assertMoment } from '@nestgate/worker';
import type { ClientAgent } from '../connection/client-agent.js';

/** The reason with which a client is closed whose credentials have expired. */
export const AUTH_EXPIRED = 'auth expired';

class Expiry extends Deadline {
  constructor(private readonly agent: ClientAgent) {
    super();
  }

  override expire(): void {
    this.agent.close(CLOSE.policy.code, AUTH_EXPIRED);
  }
}

/**
 * Closes clients when their credentials expire: with 1008, at most 50 ms late. Only clients with an expiry cost anything, and
 * all of them share one timer. The wall clock is read once, when the expiry is set: changing it later moves no expiry.
 */
@Injectable()
export class SessionExpiry implements OnApplicationShutdown {
  private readonly wheel: DeadlineWheel;
  private readonly expiries = new Map<ClientAgent, Expiry>();

  constructor(node: LinkNode) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'auth.expiry'));
  }

  /** How many clients have an expiry. */
  get size(): number {
    return this.expiries.size;
  }

  /**
   * Sets when a client's credentials expire, in milliseconds since the epoch; `undefined`: never. What is over already closes
   * it at once.
   * @throws {GateError} `BAD_ARGUMENT` for what is no moment. Nothing has changed then.
   */
  set(agent: ClientAgent, expiresAt: number | undefined): void {
    assertMoment(expiresAt);
    this.forget(agent);
    if (expiresAt === undefined || agent.isClosed) return;
    const leftMs = expiresAt - Date.now();
    if (leftMs <= 0) {
      agent.close(CLOSE.policy.code, AUTH_EXPIRED);
      return;
    }
    const expiry = new Expiry(agent);
    this.expiries.set(agent, expiry);
    this.wheel.add(expiry, performance.now() + leftMs);
  }

  /** The client is gone, or its credentials do not expire. */
  forget(agent: ClientAgent): void {
    const expiry = this.expiries.get(agent);
    if (!expiry) return;
    this.wheel.remove(expiry);
    this.expiries.delete(agent);
  }

  onApplicationShutdown(): void {
    this.wheel.stop();
    this.expiries.clear();
  }
}
