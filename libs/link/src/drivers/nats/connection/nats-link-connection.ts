import { setImmediate as turn } from 'node:timers/promises';
import { GateError } from '@nestgate/protocol';
import {
  type NatsConnection,
  type NodeConnectionOptions,
  PermissionViolationError,
  type Status,
} from '@nats-io/transport-node';
import type { SendResult } from '../../../link.js';
import { dropConnection, dropSocket, endConnection } from './nats-close.js';
import { NatsDialer } from './nats-dialer.js';
import { NatsSubscriptions } from './nats-subscriptions.js';
import { NatsPressure } from './nats-pressure.js';
import type { NatsWarnings } from './nats-warnings.js';

/** Three unanswered pings mean a dead server; the fourth ping detects it, within the documented 4 s. */
const PING_MS = 800;
/** Time limit for the server's INFO message after connecting, in milliseconds. */
const HANDSHAKE_MS = 2_000;

/** Events of an open connection. */
export interface NatsLinkConnectionEvents {
  /** The connection is restored, with all subscriptions. */
  onUp(): void;
  /** The connection is lost. */
  onDown(): void;
  /** Backpressure has ended. */
  onDrain(): void;
  /** A callback of the client or of a subscription has thrown. */
  onDefect(error: unknown, where: string): void;
}

/** The connection of a link to NATS. It reconnects by itself and refuses messages above a bound of unconfirmed bytes. */
export class NatsLinkConnection {
  readonly subscriptions: NatsSubscriptions;
  /** Subscriptions and messages that the server denied. */
  denied = 0;
  isConnected = false;
  /** True while more than one ping is unanswered. */
  isDeaf = false;
  private readonly dialer: NatsDialer;
  private readonly pressure: NatsPressure;
  private nats: NatsConnection | undefined;
  private state: 'opening' | 'open' | 'closed' = 'opening';
  /** Why the server denies the join, and whether the connection broke during the join. */
  private denial: string | undefined;
  private hasBroken = false;

  constructor(
    options: NodeConnectionOptions,
    private readonly warnings: NatsWarnings,
    private readonly events: NatsLinkConnectionEvents,
  ) {
    this.subscriptions = new NatsSubscriptions(error => events.onDefect(error, 'nats.message'));
    this.pressure = new NatsPressure(() => this.events.onDrain());
    const steady: NodeConnectionOptions = {
      pingInterval: PING_MS,
      maxPingOut: 3,
      timeout: HANDSHAKE_MS,
      reconnectTimeWait: 200,
      reconnectJitter: 300,
      reconnectJitterTLS: 300,
      ...options,
      reconnect: true,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: false,
      ignoreAuthErrorAbort: true,
      noEcho: true,
    };
    this.dialer = new NatsDialer(steady, warnings);
  }

  /**
   * Connects, then calls `join`. Repeats both when the connection breaks during the join.
   * @throws {GateError} what {@link NatsDialer.connect} throws; `FORBIDDEN` for what the server does not permit while joining.
   */
  async open(join: (nats: NatsConnection) => Promise<void>): Promise<void> {
    while (this.state === 'opening') {
      const nats = await this.dialer.connect();
      this.attach(nats);
      try {
        await join(nats);
        await nats.flush();
        // The server sends denials before its answer to the flush; the client reports them in a later turn.
        await turn();
      } catch (error) {
        if (error instanceof GateError) throw error;
        this.hasBroken = true;
      }
      if (this.denial !== undefined) throw new GateError('FORBIDDEN', `link: ${this.denial}`);
      if (!this.hasBroken && this.isConnected && this.state === 'opening') {
        this.state = 'open';
        return;
      }
      this.subscriptions.detach();
      await dropConnection(nats);
    }
    throw new GateError('LINK_CLOSED');
  }

  /** Id of the current or last server; `''` before the first connection. */
  get server(): string {
    return this.nats?.info?.server_id ?? '';
  }

  /** Largest message that the server accepts, in bytes. */
  get maxPayload(): number {
    return this.nats?.info?.max_payload ?? 1024 * 1024;
  }

  /** Sends a frame as one or more messages. */
  send(subject: string, parts: readonly Buffer[], reply: string | undefined): SendResult {
    const { nats, pressure } = this;
    if (!nats || !this.isConnected || this.state === 'closed' || pressure.isFull) return 'refused';
    let bytes = 0;
    try {
      for (const part of parts) {
        nats.publish(subject, part, { reply });
        bytes += part.length;
      }
    } catch (error) {
      this.warnings.warn('send', `Nothing can be sent on the link: ${textOf(error)}`);
      return 'refused';
    }
    pressure.note(bytes);
    return pressure.isHigh ? 'congested' : 'sent';
  }

  /** Sends a control message; a failure is only logged. */
  say(subject: string, body: string | Buffer, reply?: string): void {
    if (!this.nats || !this.isConnected) return;
    try {
      this.nats.publish(subject, body, { reply });
    } catch (error) {
      this.warnings.warn('say', `Nothing can be said on the link: ${textOf(error)}`);
    }
  }

  /** Asks the server to confirm the messages sent so far. */
  confirm(): void {
    if (this.isConnected) this.pressure.confirm();
  }

  async close(drain: boolean): Promise<void> {
    this.state = 'closed';
    this.dialer.stop();
    this.pressure.stop();
    const { nats } = this;
    if (nats) await (this.isConnected ? endConnection(nats, drain) : dropConnection(nats));
    this.isConnected = false;
  }

  private attach(nats: NatsConnection): void {
    this.nats = nats;
    this.isConnected = true;
    this.hasBroken = false;
    this.denial = undefined;
    this.pressure.attach(nats);
    this.watch(nats).catch((error: unknown) => this.events.onDefect(error, 'nats.status'));
    this.subscriptions.attach(nats);
  }

  /** Follows the status of the connection. While it is down nothing may be published: the client would lose it silently. */
  private async watch(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      try {
        if (nats === this.nats) this.note(nats, status);
      } catch (error) {
        // Continue: the next status may report the reconnect.
        this.events.onDefect(error, 'nats.status');
      }
    }
  }

  private note(nats: NatsConnection, status: Status): void {
    if (status.type === 'ping') {
      this.isDeaf = status.pendingPings > 1;
    } else if (status.type === 'staleConnection') {
      this.goDown();
      dropSocket(nats);
    } else if (status.type === 'disconnect') {
      this.goDown();
    } else if (status.type === 'reconnect') {
      this.comeBack(nats);
    } else if (status.type === 'error') {
      this.noteError(status.error);
    } else if (status.type === 'close' && this.state === 'open') {
      this.goDown();
      this.warnings.warn('close', 'The NATS client has given up: start this node again');
    }
  }

  private goDown(): void {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.hasBroken = true;
    this.pressure.reset();
    if (this.state === 'open') this.events.onDown();
  }

  private comeBack(nats: NatsConnection): void {
    this.warnings.forget('refused');
    this.isConnected = true;
    this.isDeaf = false;
    this.subscriptions.attach(nats);
    if (this.state === 'open') this.events.onUp();
  }

  private noteError(error: Error): void {
    if (!(error instanceof PermissionViolationError)) {
      this.warnings.warn('refused', `NATS says: ${error.message}`);
      return;
    }
    this.denied++;
    const what = error.operation === 'publish' ? 'publish to' : 'subscribe to';
    const denial = `NATS does not permit this node to ${what} ${error.subject}`;
    if (this.state === 'opening') this.denial ??= denial;
    else this.warnings.warn(error.operation, denial);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
