import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { Deadline, DeadlineWheel } from '@nestgate/link/internal';
import { CLOSE } from '@nestgate/protocol';
import { assertMoment } from '@nestgate/worker/internal';
import type { ClientAgent } from '../client/client-agent.js';

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
 * Closes clients when their credentials expire: with 1008, at most 50 ms late. Clients without an expiry cost nothing, and
 * all others share one timer. The wall clock is read once, when the expiry is set: changing it later moves no expiry.
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
   * Sets when a client's credentials expire, in milliseconds since the epoch; `undefined`: never. A time in the past closes
   * the client immediately.
   * @throws {GateError} `BAD_ARGUMENT` for an invalid time; then nothing has changed.
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

  /** In how many milliseconds the credentials of a client expire; `undefined`: never. */
  leftMs(agent: ClientAgent): number | undefined {
    const expiry = this.expiries.get(agent);
    return expiry && expiry.deadline - performance.now();
  }

  /** Sets the expiry of a client that has come from another gate. */
  adopt(agent: ClientAgent, leftMs: number): void {
    const expiry = new Expiry(agent);
    this.expiries.set(agent, expiry);
    this.wheel.add(expiry, performance.now() + leftMs);
  }

  /** Newer credentials, which may be valid for longer; see {@link set}. An earlier moment changes nothing. */
  extend(agent: ClientAgent, expiresAt: number): void {
    const expiry = this.expiries.get(agent);
    if (expiry && performance.now() + (expiresAt - Date.now()) > expiry.deadline) this.set(agent, expiresAt);
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
