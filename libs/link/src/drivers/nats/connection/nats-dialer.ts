import { setTimeout as sleep } from 'node:timers/promises';
import { GateError } from '@nestgate/protocol';
import {
  AuthorizationError,
  connect,
  InvalidArgumentError,
  type NatsConnection,
  type NodeConnectionOptions,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node';
import { findServers } from './nats-greeting.js';
import type { NatsWarnings } from './nats-warnings.js';

/** Waits between attempts to reach a server at the start, in milliseconds. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 3_000;

/** Codes with which TLS says that it will not do, today or tomorrow. */
const TLS_REFUSAL = /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/;

/**
 * Makes the first connection. A server that is not there is waited for, because nodes and servers are often started
 * together; a server that refuses this node ends the start. From then on the client itself reconnects.
 */
export class NatsDialer {
  private readonly stopped = new AbortController();
  private readonly servers: string[];
  private giveUp: () => void = () => undefined;

  constructor(
    private readonly options: NodeConnectionOptions,
    private readonly warnings: NatsWarnings,
  ) {
    this.servers = [options.servers ?? []].flat();
  }

  /**
   * @throws {GateError} `UNAUTHORIZED` for credentials that the servers refuse, `LINK_UNAVAILABLE` when TLS cannot be agreed on,
   * `LINK_CLOSED` after {@link stop}.
   */
  async connect(): Promise<NatsConnection> {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, wait * 2)) {
      try {
        return await this.attempt();
      } catch (error) {
        if (this.stopped.signal.aborted) throw new GateError('LINK_CLOSED');
        this.assertTransient(error);
        this.warnings.warn('start', `NATS at ${this.where} is out of reach (${reasonOf(error)}): waiting for it`);
      }
      await sleep(wait * (0.5 + Math.random() / 2), undefined, { signal: this.stopped.signal }).catch(() => undefined);
    }
  }

  /** Ends an attempt that is under way. */
  stop(): void {
    this.stopped.abort();
    this.giveUp();
  }

  private get where(): string {
    return this.servers.join(', ');
  }

  private async attempt(): Promise<NatsConnection> {
    // Where TLS comes before all else, nobody is greeted.
    const isSilent = this.options.tls?.handshakeFirst === true;
    const servers = isSilent ? this.servers : await findServers(this.servers, this.stopped.signal);
    const nats = await this.dial(servers);
    if (servers.length < this.servers.length) nats.setServers(this.servers);
    return nats;
  }

  private dial(servers: string[]): Promise<NatsConnection> {
    return new Promise((resolve, reject) => {
      this.giveUp = () => reject(new GateError('LINK_CLOSED'));
      connect({ ...this.options, servers }).then(nats => {
        // Stopped in the meantime: the connection is not needed any more.
        if (this.stopped.signal.aborted) void nats.close();
        else resolve(nats);
      }, reject);
    });
  }

  private assertTransient(error: unknown): void {
    const reason = reasonOf(error);
    const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
    // A server that has not got round to asking for credentials in time has not refused them.
    if (error instanceof AuthorizationError && !/timeout/i.test(reason)) throw this.refusal('UNAUTHORIZED', reason);
    if (error instanceof UserAuthenticationExpiredError) throw this.refusal('UNAUTHORIZED', reason);
    if (error instanceof InvalidArgumentError || error instanceof GateError) throw error;
    if (TLS_REFUSAL.test(code) || reason.includes("does not support 'tls'")) {
      throw this.refusal('LINK_UNAVAILABLE', reason);
    }
  }

  private refusal(code: 'UNAUTHORIZED' | 'LINK_UNAVAILABLE', reason: string): GateError {
    return new GateError(code, `link: NATS at ${this.where} cannot be used: ${reason}`);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
