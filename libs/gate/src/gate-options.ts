import type { NodeOptions } from '@nestgate/worker';
import type { EncryptMode } from './connection/pack-cipher.js';

/** What happens to a client that does not read what is sent to it, once its outbox is full. */
export type SlowClientPolicy = 'disconnect' | 'drop-oldest' | 'drop-newest';

/** Where WebSocket clients are accepted. */
export interface WsOptions {
  /** The path of the endpoint. @defaultValue '/gate' */
  readonly path?: string | undefined;
  /** A port of its own; without it the endpoint is on the HTTP server of the Nest app. */
  readonly port?: number | undefined;
  /** The address that `port` binds to. @defaultValue '127.0.0.1' */
  readonly host?: string | undefined;
  /**
   * Origins that browsers may come from, beside the request's own host: `host`, `host:port` or a full origin. Of http and https
   * the scheme, case, a default port and a slash at the end make no difference, and `*.` stands for one label; other schemes
   * (`capacitor://localhost`) are compared exactly. `'*'` allows all. @defaultValue []
   */
  readonly origins?: '*' | readonly string[] | undefined;
}

/** Where TCP clients are accepted. */
export interface TcpOptions {
  /** The port; 0 picks a free one. */
  readonly port: number;
  /** The address that it binds to. @defaultValue '127.0.0.1' */
  readonly host?: string | undefined;
  /** What clients speak, or the name of a codec of your own. @defaultValue 'pack' */
  readonly codec?: string | undefined;
}

/** Certificates for what the gate itself listens on: `tcp`, and `ws` with a port of its own. */
export interface TlsOptions {
  /** Files in PEM. They are read again on SIGHUP; connections stay. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities that clients' certificates must come from; without it clients need none. */
  readonly caFile?: string | undefined;
}

/**
 * What a second client of one uid means: nothing (`many`), the older one is closed with 4001 (`replace`), or the newer
 * one's bind is refused with `FORBIDDEN`, unless the older one does not answer a ping within 2 s (`refuse`).
 */
export type LoginRule = 'many' | 'replace' | 'refuse';

/** The options of a gate. Times are in milliseconds, sizes in bytes. */
export interface GateOptions extends Omit<NodeOptions, 'gateWait'> {
  readonly ws?: WsOptions | undefined;
  /** TCP clients; off unless given. */
  readonly tcp?: TcpOptions | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Encrypts the packs of `gate.pack` clients. */
  readonly encryptKey?: string | undefined;
  /** How. `river-cbc` is weak, and only for clients that exist. @defaultValue 'aes-256-gcm' */
  readonly encryptMode?: EncryptMode | undefined;
  /** @defaultValue 'many' */
  readonly login?: LoginRule | undefined;
  /**
   * Addresses or CIDR ranges of proxies whose `X-Forwarded-For` is believed, or the words `loopback`, `linklocal`, `uniquelocal`
   * and `unix` (all connections through a Unix socket). Connections through them count for the address that they name.
   * @defaultValue []
   */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Largest frame a client may send, the whole WebSocket payload. @defaultValue 65535 */
  readonly maxPackSize?: number | undefined;
  /** Deepest nesting of a JSON frame, its own object included. @defaultValue 32 */
  readonly maxJsonDepth?: number | undefined;
  /** Frames of one client that may be unanswered; past it the gate stops reading that client. @defaultValue 20 */
  readonly concurrentTasks?: number | undefined;
  /** Packs that may be queued for one client. @defaultValue 1000 */
  readonly sendPackBuffNum?: number | undefined;
  /** Bytes that may be queued for one client. @defaultValue 1048576 */
  readonly sendBuffBytes?: number | undefined;
  /**
   * Bytes that may be queued for one client for a while: as long as its socket takes something, its queue may go beyond
   * `sendPackBuffNum` and `sendBuffBytes` up to this, where each pack counts 128 bytes more. At least `sendBuffBytes`; with
   * just that the two are hard bounds. @defaultValue 16777216, or `sendBuffBytes` if that is more
   */
  readonly sendBurstBytes?: number | undefined;
  /**
   * Bytes that may be queued for all clients together that are beyond `sendPackBuffNum` or `sendBuffBytes`. At least
   * `sendBurstBytes`. @defaultValue 268435456, or `sendBurstBytes` if that is more
   */
  readonly sendBurstTotalBytes?: number | undefined;
  /** How long the socket of a client beyond either may take nothing. @defaultValue 5000 */
  readonly slowClientTimeout?: number | undefined;
  /** What happens past these. @defaultValue 'disconnect' */
  readonly slowClientPolicy?: SlowClientPolicy | undefined;
  /** How long connecting and the handshake may take. @defaultValue 10000 */
  readonly overTime?: number | undefined;
  /** How often a client is pinged. @defaultValue 25000 */
  readonly pingInterval?: number | undefined;
  /** A client that has sent nothing for this long is dead. @defaultValue 60000 */
  readonly heartOverTimer?: number | undefined;
  /** How long a request may take, waiting for a worker included. @defaultValue 30000 */
  readonly requestTimeout?: number | undefined;
  /** How long a frame waits when all workers of its module are gone. @defaultValue 3000 */
  readonly workerWait?: number | undefined;
  /**
   * Refuses clients whose `@OnConnect` no worker handles, also when none has ever announced one: set it where `@OnConnect`
   * authenticates. @defaultValue false
   */
  readonly requireOnConnect?: boolean | undefined;
  /**
   * How long after the link is open a gate waits for other nodes before it takes clients, at most: less when workers have
   * come and no others follow. As long, frames of unknown modules wait too. 0 is not at all, as on a `memory:` link.
   * @defaultValue 1500
   */
  readonly startupWait?: number | undefined;
  /** Messages a client may send per second, with a burst of twice as many; 0 is no limit. @defaultValue 100 */
  readonly messageRate?: number | undefined;
  /** Connections in all; 0 is no limit. @defaultValue 80 % of the files that the process may open, where that is known */
  readonly maxConnections?: number | undefined;
  /** Connections per IP address, of IPv6 per /64 network; 0 is no limit. @defaultValue 100 */
  readonly maxConnectionsPerIp?: number | undefined;
  /** New connections per second, as many at once; 0 is no limit. @defaultValue 2000 */
  readonly maxConnectionRate?: number | undefined;
  /** Groups a client may be in. @defaultValue 128 */
  readonly maxGroups?: number | undefined;
  /** Size of a session's settings as JSON. @defaultValue 16384 */
  readonly maxSettingsBytes?: number | undefined;
  /** How long a closing client may take to read what is queued for it. @defaultValue 5000 */
  readonly closeTimeout?: number | undefined;
  /** How often the storage is told which bound sessions are online; at least 1000. @defaultValue 10000 */
  readonly storageHeartbeat?: number | undefined;
  /** Bytes read from a TCP client that may wait to be handled. @defaultValue 65536 */
  readonly bufSize?: number | undefined;
  /** How long a stopping gate waits for unanswered requests before it closes its clients. @defaultValue 4000 */
  readonly drainTimeout?: number | undefined;
}

/** The options that are numbers. */
export type NumberOption = {
  [K in keyof GateOptions]-?: NonNullable<GateOptions[K]> extends number ? K : never;
}[keyof GateOptions];

/** All of `T` is there. Other than with `Required`, that is so with `exactOptionalPropertyTypes` too. */
type Filled<T> = { readonly [K in keyof T]-?: NonNullable<T[K]> };

/** Options with every default filled in. */
export type ResolvedGateOptions = Readonly<Record<NumberOption, number>> &
  NodeOptions & {
    readonly ws: Filled<Omit<WsOptions, 'port'>> & Pick<WsOptions, 'port'>;
    readonly tcp: Filled<TcpOptions> | undefined;
    readonly tls: TlsOptions | undefined;
    readonly encryptKey: string | undefined;
    readonly encryptMode: EncryptMode;
    readonly login: LoginRule;
    readonly trustedProxies: readonly string[];
    readonly slowClientPolicy: SlowClientPolicy;
    readonly requireOnConnect: boolean;
  };
