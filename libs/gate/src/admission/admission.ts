import { Inject, Injectable } from '@nestjs/common';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { clientAddress, compileProxies, countedBy, isListed, type Proxies } from './client-address.js';
import { TokenBucket } from './token-bucket.js';

/** Why a connection is not admitted, as an HTTP status and a text. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
  /** For the log: the reason, and the option that decides about it. Without a hint nothing is logged. */
  readonly hint?: string;
  /** Additional headers of the answer. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The body that an exception filter of the application has written; sent instead of the message. */
  readonly body?: Uint8Array;
}

type Limits = Pick<
  ResolvedGateOptions,
  'maxConnections' | 'maxConnectionsPerIp' | 'maxConnectionRate' | 'trustedProxies'
>;

/** Counts the connections of all acceptors, including those in their handshake, and refuses connections above the limits. */
@Injectable()
export class Admission {
  private readonly perIp = new Map<string, number>();
  private readonly rate: TokenBucket | undefined;
  private readonly proxies: Proxies;
  private total = 0;

  constructor(@Inject(RESOLVED_GATE_OPTIONS) private readonly limits: Limits) {
    this.proxies = compileProxies(limits.trustedProxies);
    const { maxConnectionRate } = limits;
    if (maxConnectionRate > 0) this.rate = new TokenBucket(maxConnectionRate, maxConnectionRate, performance.now());
  }

  /** The address of the client. `X-Forwarded-For` counts only from trusted proxies. */
  addressOf(socketAddress: string | undefined, forwardedFor: string | undefined): string {
    return clientAddress(socketAddress, forwardedFor, this.proxies);
  }

  /** Admits a connection, or returns why not. Call {@link leave} at the end of each admitted connection. */
  enter(ip: string): Refusal | undefined {
    const { maxConnections, maxConnectionsPerIp, maxConnectionRate } = this.limits;
    if (maxConnections > 0 && this.total >= maxConnections) {
      return { status: 503, message: 'The gate is full', hint: `${maxConnections} connections: see maxConnections` };
    }
    const from = countedBy(ip);
    const known = this.perIp.get(from) ?? 0;
    // A trusted proxy without `X-Forwarded-For` stands for many clients, and so does the peer of a Unix socket, which has no address.
    const isCounted = maxConnectionsPerIp > 0 && ip !== '' && !isListed(ip, this.proxies);
    if (isCounted && known >= maxConnectionsPerIp) {
      return {
        status: 429,
        message: 'Too many connections from this address',
        hint: `${known} connections of ${from}: see maxConnectionsPerIp, and trustedProxies for clients behind a proxy`,
      };
    }
    if (this.rate && !this.rate.take(performance.now())) {
      return {
        status: 503,
        message: 'Too many new connections',
        hint: `more than ${maxConnectionRate} new connections a second: see maxConnectionRate`,
      };
    }
    this.total++;
    this.perIp.set(from, known + 1);
    return undefined;
  }

  leave(ip: string): void {
    this.total--;
    const from = countedBy(ip);
    const left = (this.perIp.get(from) ?? 1) - 1;
    if (left > 0) this.perIp.set(from, left);
    else this.perIp.delete(from);
  }
}
