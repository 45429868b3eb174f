import type { NodeOptions } from '@nestgate/worker';
import type { EncryptMode } from './codec/pack-cipher.js';

/** Policy for a client that does not read, when its queue is full. */
export type SlowClientPolicy = 'disconnect' | 'drop-oldest' | 'drop-newest';

/** Endpoint of WebSocket clients. */
export interface WsOptions {
  /** The path of the endpoint. @defaultValue '/gate' */
  readonly path?: string | undefined;
  /** A separate port; without it the endpoint is on the HTTP server of the Nest app. */
  readonly port?: number | undefined;
  /** The address that `port` binds to. @defaultValue '127.0.0.1' */
  readonly host?: string | undefined;
  /**
   * Origins that browsers may come from, beside the request's own host: `host`, `host:port` or a full origin. Of http and https
   * the scheme, case, a default port and a slash at the end are ignored, and `*.` stands for one label; other schemes
   * (`capacitor://localhost`) are compared exactly. `'*'` allows all. @defaultValue []
   */
  readonly origins?: '*' | readonly string[] | undefined;
}

/** Endpoint of TCP clients. */
export interface TcpOptions {
  /** The port; 0 selects a free one. */
  readonly port: number;
  /** The address that it binds to. @defaultValue '127.0.0.1' */
  readonly host?: string | undefined;
  /** The codec of TCP clients, or the name of a custom one. @defaultValue 'pack' */
  readonly codec?: string | undefined;
}

/** Certificates for the ports of the gate itself: `tcp.port` and `ws.port`. */
export interface TlsOptions {
  /** Files in PEM. SIGHUP reloads them; connections stay. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities for client certificates; without it clients need no certificate. */
  readonly caFile?: string | undefined;
}

/**
 * Rule for a second client of one uid. `many` allows it; `replace` closes the older client with 4001; `refuse` refuses the bind
 * of the newer client with `FORBIDDEN`, unless the older client does not answer a ping within 2 s.
 */
export type LoginRule = 'many' | 'replace' | 'refuse';

/** What `away` sessions look like to workers that watch presence: as before (`hold`), or gone until they are resumed (`drop`). */
export type AwayPresence = 'hold' | 'drop';

/** Sessions that outlive their connection, for clients that offer `gate.json.2` or `gate.frame.2`. Times are in milliseconds. */
export interface ResumeOptions {
  /** How long a session without a connection is kept. @defaultValue 120000 */
  readonly keepMs?: number | undefined;
  /** The same for sessions without a uid. @defaultValue 30000 */
  readonly keepGuestMs?: number | undefined;
  /** Frames kept for one session until its client has acknowledged them. Above it the oldest are dropped, and the client is notified. @defaultValue 1000 */
  readonly frames?: number | undefined;
  /** The same in bytes. @defaultValue 262144 */
  readonly bytes?: number | undefined;
  /** Bytes kept for all sessions together; above it the sessions detached longest lose their frames. @defaultValue 268435456 */
  readonly totalBytes?: number | undefined;
  /** Sessions without a connection; above it the one detached longest ends. @defaultValue 50000 */
  readonly maxDetached?: number | undefined;
  /** The same for one IP address, of IPv6 for one /64 network; 0 is no limit. @defaultValue 100 */
  readonly maxDetachedPerAddress?: number | undefined;
  /** Client and gate acknowledge after so many frames. @defaultValue 64 */
  readonly ackEvery?: number | undefined;
  /** Longest time until an acknowledgement. @defaultValue 1000 */
  readonly ackMs?: number | undefined;
  /** @defaultValue 'hold' */
  readonly presence?: AwayPresence | undefined;
  /**
   * A directory, by its absolute path, in which the sessions are kept while the gate does not run: those that are left at the end of a drain
   * are written, and read at the next start. Without it they end. Only this user may have access to it (mode 0700); it is made
   * when it is not there. Gates that share it each have a `nodeId`.
   */
  readonly spoolDir?: string | undefined;
}

/** The options of a gate. Times are in milliseconds, sizes in bytes. */
export interface GateOptions extends Omit<NodeOptions, 'gateWait'> {
  readonly ws?: WsOptions | undefined;
  /** TCP clients; off unless given. */
  readonly tcp?: TcpOptions | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Encrypts the packs of `gate.pack` clients. */
  readonly encryptKey?: string | undefined;
  /** The cipher. `river-cbc` is weak, and only for existing clients. @defaultValue 'aes-256-gcm' */
  readonly encryptMode?: EncryptMode | undefined;
  /** @defaultValue 'many' */
  readonly login?: LoginRule | undefined;
  /**
   * Addresses or CIDR ranges of proxies whose `X-Forwarded-For` is used, or the words `loopback`, `linklocal`, `uniquelocal`
   * and `unix` (all connections through a Unix socket). Connections through them count for the address that they name.
   * @defaultValue []
   */
  readonly trustedProxies?: readonly string[] | undefined;
  /** Largest frame of a client: the whole WebSocket payload. @defaultValue 65535 */
  readonly maxPackSize?: number | undefined;
  /** Deepest nesting of a JSON frame, its own object included. @defaultValue 32 */
  readonly maxJsonDepth?: number | undefined;
  /** Unanswered frames of one client; above it the gate stops reading its socket. @defaultValue 20 */
  readonly concurrentTasks?: number | undefined;
  /** Packs that may be queued for one client. @defaultValue 1000 */
  readonly sendPackBuffNum?: number | undefined;
  /** Bytes that may be queued for one client. @defaultValue 1048576 */
  readonly sendBuffBytes?: number | undefined;
  /**
   * Bytes that may be queued for one client temporarily: while its socket accepts data, its queue may exceed
   * `sendPackBuffNum` and `sendBuffBytes` up to this; each pack counts 128 bytes more. At least `sendBuffBytes`; with
   * exactly that value the two are hard bounds. @defaultValue 16777216, or `sendBuffBytes` if that is more
   */
  readonly sendBurstBytes?: number | undefined;
  /**
   * Queued bytes of all clients together that exceed `sendPackBuffNum` or `sendBuffBytes`. At least
   * `sendBurstBytes`. @defaultValue 268435456, or `sendBurstBytes` if that is more
   */
  readonly sendBurstTotalBytes?: number | undefined;
  /** Time without progress for the socket of a client above either bound. @defaultValue 5000 */
  readonly slowClientTimeout?: number | undefined;
  /** Policy above these limits. @defaultValue 'disconnect' */
  readonly slowClientPolicy?: SlowClientPolicy | undefined;
  /** Time limit for connecting, the handshake and the connect hooks. @defaultValue 10000 */
  readonly overTime?: number | undefined;
  /** Interval of pings to a client. @defaultValue 25000 */
  readonly pingInterval?: number | undefined;
  /** Time after which a silent client is closed with 4003. @defaultValue 60000 */
  readonly heartOverTimer?: number | undefined;
  /** Time limit of a request, including the wait for a worker. @defaultValue 30000 */
  readonly requestTimeout?: number | undefined;
  /** Time that a frame waits when all workers of its module are gone. @defaultValue 3000 */
  readonly workerWait?: number | undefined;
  /**
   * Refuses clients whose `@OnConnect` no worker handles, also when none has ever announced one: set it where `@OnConnect`
   * authenticates. @defaultValue false
   */
  readonly requireOnConnect?: boolean | undefined;
  /**
   * Longest wait of a gate for other nodes, after its link is open and before it accepts clients. The wait is shorter when workers have
   * joined and no others follow. Frames of unknown modules wait as long. 0 is no wait, as on a `memory:` link.
   * @defaultValue 1500
   */
  readonly startupWait?: number | undefined;
  /**
   * Clients per second that are given to workers that have joined, until the shares are even: those that have nothing unanswered. Clients
   * that are pinned stay. 0 leaves each client with its worker as long as that is there. @defaultValue 100
   */
  readonly rebalanceRate?: number | undefined;
  /** Messages of a client per second, with a burst of twice as many; 0 is no limit. @defaultValue 100 */
  readonly messageRate?: number | undefined;
  /** Total number of connections; 0 is no limit. @defaultValue 80 % of the files that the process may open, where that is known */
  readonly maxConnections?: number | undefined;
  /** Connections per IP address, of IPv6 per /64 network; 0 is no limit. @defaultValue 100 */
  readonly maxConnectionsPerIp?: number | undefined;
  /** New connections per second, with a burst of as many; 0 is no limit. @defaultValue 2000 */
  readonly maxConnectionRate?: number | undefined;
  /** Groups a client may be in. @defaultValue 128 */
  readonly maxGroups?: number | undefined;
  /** Size of a session's settings as JSON. @defaultValue 16384 */
  readonly maxSettingsBytes?: number | undefined;
  /** Time for a closing client to read its queued messages. @defaultValue 5000 */
  readonly closeTimeout?: number | undefined;
  /** Interval of the storage heartbeat with all bound sessions that are online; at least 1000. @defaultValue 10000 */
  readonly storageHeartbeat?: number | undefined;
  /** Bytes read from a TCP client that may wait to be handled. @defaultValue 65536 */
  readonly bufSize?: number | undefined;
  /**
   * Time that a stopping gate waits for its sessions to move to other gates, and for unanswered requests, before it closes its clients.
   * @defaultValue 4000, with `resume` 30000
   */
  readonly drainTimeout?: number | undefined;
  /** Sessions that outlive their connection; `{}` for all defaults. Off unless given. */
  readonly resume?: ResumeOptions | undefined;
}

/** The options that are numbers. */
export type NumberOption = {
  [K in keyof GateOptions]-?: NonNullable<GateOptions[K]> extends number ? K : never;
}[keyof GateOptions];

/** All properties of `T` are present, unlike `Required` also with `exactOptionalPropertyTypes`. */
type Filled<T> = { readonly [K in keyof T]-?: NonNullable<T[K]> };

/** Options with all defaults. */
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
    readonly resume: ResolvedResumeOptions | undefined;
  };

/** {@link ResumeOptions} with every default filled in. */
export type ResolvedResumeOptions = Filled<Omit<ResumeOptions, 'spoolDir'>> & {
  readonly spoolDir: string | undefined;
};
