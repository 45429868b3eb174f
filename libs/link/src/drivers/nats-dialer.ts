import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { GateError } from '@nestgate/protocol';
import {
  AuthorizationError,
  connect,
  InvalidArgumentError,
  type NatsConnection,
  type NodeConnectionOptions,
  TimeoutError,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node';
import type { NatsWarnings } from './nats-warnings.js';

/** Waits between attempts to reach a server at the start, in milliseconds. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 3_000;
/** How long a server may take to greet whoever asks whether it is there, in milliseconds. */
const GREETING_MS = 2_000;

/** Codes with which TLS says that it will not do, today or tomorrow. */
const TLS_REFUSAL = /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/;

/**
 * Makes the first connection. A server that is not there is waited for, because nodes and servers are often started
 * together; a server that refuses this node ends the start. From then on the client itself reconnects.
 */
export class NatsDialer {
  private readonly stopped = new AbortController();
  private readonly servers: readonly string[];
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
    let wait = FIRST_WAIT_MS;
    for (;;) {
      this.assertRunning();
      try {
        return await this.attempt();
      } catch (error) {
        this.assertRunning();
        this.assertTransient(error);
        this.warnings.warn('start', `NATS at ${this.where} is out of reach (${reasonOf(error)}): waiting for it`);
        await this.pause(wait * (0.5 + Math.random() / 2));
        wait = Math.min(LONGEST_WAIT_MS, wait * 2);
        if (error instanceof TimeoutError) await this.untilOneSpeaks();
      }
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

  private attempt(): Promise<NatsConnection> {
    return new Promise((resolve, reject) => {
      this.giveUp = () => reject(new GateError('LINK_CLOSED'));
      connect(this.options).then(nats => {
        // Whoever has stopped in the meantime does not want it any more.
        if (this.stopped.signal.aborted) void nats.close();
        else resolve(nats);
      }, reject);
    });
  }

  private async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.stopped.signal }).catch(() => undefined);
  }

  private assertRunning(): void {
    if (this.stopped.signal.aborted) throw new GateError('LINK_CLOSED');
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

  /**
   * A server that is reached and says nothing would hold each connection that the client gives up: it is left alone until it
   * greets whoever connects, as all do that do not want TLS before all else.
   */
  private async untilOneSpeaks(): Promise<void> {
    if (this.options.tls?.handshakeFirst) return;
    for (;;) {
      const limit = AbortSignal.any([this.stopped.signal, AbortSignal.timeout(GREETING_MS)]);
      const answers = await Promise.all(this.servers.map(server => speaks(server, limit)));
      if (answers.includes(true) || this.stopped.signal.aborted) return;
      await this.pause(LONGEST_WAIT_MS);
    }
  }
}

async function speaks(server: string, signal: AbortSignal): Promise<boolean> {
  const colon = server.lastIndexOf(':');
  const socket = connectTcp(Number(server.slice(colon + 1)), server.slice(0, colon).replaceAll(/[[\]]/g, ''));
  socket.on('error', () => undefined);
  try {
    await once(socket, 'data', { signal });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
