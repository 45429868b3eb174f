import type { NodeOptions } from '@nestgate/worker';
import type { EncryptMode } from './connection/pack-cipher.js';

/** What happens to a client that does not read what is sent to it, once its outbox is full. */
export type SlowClientPolicy = 'disconnect' | 'drop-oldest' | 'drop-newest';

/** Where WebSocket clients are accepted. */
export interface WsOptions {
  /** The path of the endpoint. @defaultValue '/gate' */
  readonly path?: string;
  /** A port of its own; without it the endpoint is on the HTTP server of the Nest app. */
  readonly port?: number;
  /** The address that `port` binds to. @defaultValue '127.0.0.1' */
  readonly host?: string;
  /**
   * Origins that browsers may come from, beside the request's own host: `host`, `host:port` or a full origin (the scheme
   * is ignored). `'*'` allows all. @defaultValue []
   */
  readonly origins?: '*' | readonly string[];
}

/** Where TCP clients are accepted. */
export interface TcpOptions {
  /** The port; 0 picks a free one. */
  readonly port: number;
  /** The address that it binds to. @defaultValue '127.0.0.1' */
  readonly host?: string;
  /** What clients speak, or the name of a codec of your own. @defaultValue 'pack' */
  readonly codec?: string;
}

/** Certificates for what the gate itself listens on: `tcp`, and `ws` with a port of its own. */
export interface TlsOptions {
  /** Files in PEM. They are read again on SIGHUP; connections stay. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities that clients' certificates must come from; without it clients need none. */
  readonly caFile?: string;
}

/**
 * What a second client of one uid means: nothing (`many`), the older one is closed with 4001 (`replace`), or the newer
 * one's bind is refused with `FORBIDDEN` (`refuse`).
 */
export type LoginRule = 'many' | 'replace' | 'refuse';

/** The options of a gate. Times are in milliseconds, sizes in bytes. */
export interface GateOptions extends Omit<NodeOptions, 'gateWait'> {
  readonly ws?: WsOptions;
  /** TCP clients; off unless given. */
  readonly tcp?: TcpOptions;
  readonly tls?: TlsOptions;
  /** Encrypts the packs of `gate.pack` clients. */
  readonly encryptKey?: string;
  /** How. `river-cbc` is weak, and only for clients that exist. @defaultValue 'aes-256-gcm' */
  readonly encryptMode?: EncryptMode;
  /** @defaultValue 'many' */
  readonly login?: LoginRule;
  /**
   * Addresses or CIDR ranges of proxies whose `X-Forwarded-For` is believed. Connections through them count for the
   * address that they name. @defaultValue []
   */
  readonly trustedProxies?: readonly string[];
  /** Largest frame a client may send, the whole WebSocket payload. @defaultValue 65535 */
  readonly maxPackSize?: number;
  /** Deepest nesting of a JSON frame, its own object included. @defaultValue 32 */
  readonly maxJsonDepth?: number;
  /** Frames of one client that may be unanswered; past it the gate stops reading that client. @defaultValue 20 */
  readonly concurrentTasks?: number;
  /** Packs that may be queued for one client. @defaultValue 1000 */
  readonly sendPackBuffNum?: number;
  /** Bytes that may be queued for one client. @defaultValue 1048576 */
  readonly sendBuffBytes?: number;
  /**
   * Bytes that may be queued for one client for a while: as long as its socket takes something, its queue may go beyond
   * `sendPackBuffNum` and `sendBuffBytes` up to this, where each pack counts 128 bytes more. At least `sendBuffBytes`; with
   * just that the two are hard bounds. @defaultValue 16777216, or `sendBuffBytes` if that is more
   */
  readonly sendBurstBytes?: number;
  /**
   * Bytes that may be queued for all clients together that are beyond `sendPackBuffNum` or `sendBuffBytes`. At least
   * `sendBurstBytes`. @defaultValue 268435456, or `sendBurstBytes` if that is more
   */
  readonly sendBurstTotalBytes?: number;
  /** How long the socket of a client beyond either may take nothing. @defaultValue 5000 */
  readonly slowClientTimeout?: number;
  /** What happens past these. @defaultValue 'disconnect' */
  readonly slowClientPolicy?: SlowClientPolicy;
  /** How long connecting and the handshake may take. @defaultValue 10000 */
  readonly overTime?: number;
  /** How often a client is pinged. @defaultValue 25000 */
  readonly pingInterval?: number;
  /** A client that has sent nothing for this long is dead. @defaultValue 60000 */
  readonly heartOverTimer?: number;
  /** How long a request may take, waiting for a worker included. @defaultValue 30000 */
  readonly requestTimeout?: number;
  /** How long a frame waits when all workers of its module are gone. @defaultValue 3000 */
  readonly workerWait?: number;
  /**
   * Refuses clients whose `@OnConnect` no worker handles, also when none has ever announced one: set it where `@OnConnect`
   * authenticates. @defaultValue false
   */
  readonly requireOnConnect?: boolean;
  /**
   * How long after the link is open a gate waits for other nodes before it takes clients, at most: less when workers have
   * come and no others follow. As long, frames of unknown modules wait too. 0 is not at all, as on a `memory:` link.
   * @defaultValue 1500
   */
  readonly startupWait?: number;
  /** Messages a client may send per second, with a burst of twice as many; 0 is no limit. @defaultValue 100 */
  readonly messageRate?: number;
  /** Connections in all; 0 is no limit. @defaultValue 80 % of the files that the process may open, where that is known */
  readonly maxConnections?: number;
  /** Connections per IP address, of IPv6 per /64 network; 0 is no limit. @defaultValue 100 */
  readonly maxConnectionsPerIp?: number;
  /** New connections per second; 0 is no limit. @defaultValue 1000 */
  readonly maxConnectionRate?: number;
  /** Groups a client may be in. @defaultValue 128 */
  readonly maxGroups?: number;
  /** Size of a session's settings as JSON. @defaultValue 16384 */
  readonly maxSettingsBytes?: number;
  /** How long a closing client may take to read what is queued for it. @defaultValue 5000 */
  readonly closeTimeout?: number;
  /** How often the storage is told which bound sessions are online; at least 1000. @defaultValue 10000 */
  readonly storageHeartbeat?: number;
  /** Bytes read from a TCP client that may wait to be handled. @defaultValue 65536 */
  readonly bufSize?: number;
  /** How long a stopping gate waits for unanswered requests before it closes its clients. @defaultValue 4000 */
  readonly drainTimeout?: number;
}

/** The options that are numbers. */
export type NumberOption = Exclude<
  { [K in keyof GateOptions]-?: Required<GateOptions>[K] extends number ? K : never }[keyof GateOptions],
  undefined
>;

/** Options with every default filled in. */
export type ResolvedGateOptions = Readonly<Record<NumberOption, number>> &
  NodeOptions & {
    readonly ws: Readonly<Required<Omit<WsOptions, 'port'>>> & Pick<WsOptions, 'port'>;
    readonly tcp: Readonly<Required<TcpOptions>> | undefined;
    readonly tls: TlsOptions | undefined;
    readonly encryptKey: string | undefined;
    readonly encryptMode: EncryptMode;
    readonly login: LoginRule;
    readonly trustedProxies: readonly string[];
    readonly slowClientPolicy: SlowClientPolicy;
    readonly requireOnConnect: boolean;
  };
