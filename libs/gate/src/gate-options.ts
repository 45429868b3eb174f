import { GateError, MAX_JSON_DEPTH } from '@nestgate/protocol';
import type { NodeOptions } from '@nestgate/worker';
import { createPackCipher, type EncryptMode } from './connection/pack-cipher.js';
import { compileProxies } from './connection/client-address.js';

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
export interface GateOptions extends NodeOptions {
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
  /** What happens past either of the two. @defaultValue 'disconnect' */
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
  /** Messages a client may send per second, with a burst of twice as many; 0 is no limit. @defaultValue 100 */
  readonly messageRate?: number;
  /** Connections in all; 0 is no limit. @defaultValue 0 */
  readonly maxConnections?: number;
  /** Connections per IP address; 0 is no limit. @defaultValue 100 */
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
  /** Bytes that a TCP socket reads at once. @defaultValue 65536 */
  readonly bufSize?: number;
  /** How long a stopping gate waits for unanswered requests before it closes its clients. @defaultValue 4000 */
  readonly drainTimeout?: number;
}

type NumberOption = Exclude<
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
  };

/** Default, smallest and largest value of each number. Timers of Node end at 2^31-1 ms. */
const NUMBERS: Readonly<Record<NumberOption, readonly [fallback: number, min: number, max: number]>> = {
  maxPackSize: [65_535, 64, 16 * 1024 * 1024],
  maxJsonDepth: [MAX_JSON_DEPTH, 2, 512],
  concurrentTasks: [20, 1, 10_000],
  sendPackBuffNum: [1_000, 1, 1_000_000],
  sendBuffBytes: [1024 * 1024, 1024, 1024 * 1024 * 1024],
  overTime: [10_000, 10, 600_000],
  pingInterval: [25_000, 50, 3_600_000],
  heartOverTimer: [60_000, 100, 86_400_000],
  requestTimeout: [30_000, 10, 3_600_000],
  workerWait: [3_000, 0, 600_000],
  messageRate: [100, 0, 1_000_000],
  maxConnections: [0, 0, 10_000_000],
  maxConnectionsPerIp: [100, 0, 10_000_000],
  maxConnectionRate: [1_000, 0, 1_000_000],
  maxGroups: [128, 1, 1_000_000],
  maxSettingsBytes: [16 * 1024, 2, 16 * 1024 * 1024],
  closeTimeout: [5_000, 10, 600_000],
  drainTimeout: [4_000, 0, 600_000],
  storageHeartbeat: [10_000, 1_000, 3_600_000],
  bufSize: [64 * 1024, 1_024, 16 * 1024 * 1024],
};

const POLICIES: readonly SlowClientPolicy[] = ['disconnect', 'drop-oldest', 'drop-newest'];
const LOGIN_RULES: readonly LoginRule[] = ['many', 'replace', 'refuse'];
const ENCRYPT_MODES: readonly EncryptMode[] = ['aes-256-gcm', 'river-cbc'];
const OTHER_KEYS: ReadonlySet<string> = new Set(
  'ws tcp tls encryptKey encryptMode login trustedProxies slowClientPolicy link nodeId'.split(' '),
);
const WS_KEYS: ReadonlySet<string> = new Set(['path', 'port', 'host', 'origins']);
const TCP_KEYS: ReadonlySet<string> = new Set(['port', 'host', 'codec']);
const TLS_KEYS: ReadonlySet<string> = new Set(['certFile', 'keyFile', 'caFile']);

/**
 * Checks options, fills in the defaults and freezes the result.
 * @throws {GateError} `BAD_ARGUMENT` naming the key, its value and what is allowed.
 */
export function resolveGateOptions(options: GateOptions = {}): ResolvedGateOptions {
  for (const key of Object.keys(options)) {
    if (!OTHER_KEYS.has(key) && !Object.hasOwn(NUMBERS, key)) refuse(key, 'a known option', (options as never)[key]);
  }
  const numbers = {} as Record<NumberOption, number>;
  for (const [key, [fallback, min, max]] of Object.entries(NUMBERS) as [NumberOption, [number, number, number]][]) {
    const value = options[key] ?? fallback;
    if (!Number.isInteger(value) || value < min || value > max) refuse(key, `an integer from ${min} to ${max}`, value);
    numbers[key] = value;
  }
  const { encryptKey, encryptMode = 'aes-256-gcm', trustedProxies = [] } = options;
  oneOf('encryptMode', ENCRYPT_MODES, encryptMode);
  if (encryptKey !== undefined) createPackCipher(encryptKey, encryptMode);
  compileProxies(trustedProxies);
  return Object.freeze({
    link: options.link,
    nodeId: options.nodeId,
    ...numbers,
    ws: resolveWs(options.ws),
    tcp: options.tcp && resolveTcp(options.tcp),
    tls: options.tls && resolveTls(options.tls),
    encryptKey,
    encryptMode,
    login: oneOf('login', LOGIN_RULES, options.login ?? 'many'),
    trustedProxies: Object.freeze([...trustedProxies]),
    slowClientPolicy: oneOf('slowClientPolicy', POLICIES, options.slowClientPolicy ?? 'disconnect'),
  });
}

function oneOf<T extends string>(key: string, allowed: readonly T[], value: T): T {
  return allowed.includes(value) ? value : refuse(key, allowed.join(', '), value);
}

function knownKeys(prefix: string, known: ReadonlySet<string>, value: object): void {
  for (const key of Object.keys(value))
    if (!known.has(key)) refuse(`${prefix}.${key}`, 'a known option', (value as never)[key]);
}

function checkPort(key: string, port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) refuse(key, 'an integer from 0 to 65535', port);
}

function checkText(key: string, allowed: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') refuse(key, allowed, value);
}

function resolveTcp(tcp: TcpOptions): ResolvedGateOptions['tcp'] {
  knownKeys('tcp', TCP_KEYS, tcp);
  const { port, host = '127.0.0.1', codec = 'pack' } = tcp;
  checkPort('tcp.port', port);
  checkText('tcp.host', 'a host name or address', host);
  checkText('tcp.codec', "'pack', 'frame', or the name of a custom codec", codec);
  return Object.freeze({ port, host, codec });
}

function resolveTls(tls: TlsOptions): TlsOptions {
  knownKeys('tls', TLS_KEYS, tls);
  checkText('tls.certFile', 'a file in PEM', tls.certFile);
  checkText('tls.keyFile', 'a file in PEM', tls.keyFile);
  if (tls.caFile !== undefined) checkText('tls.caFile', 'a file in PEM', tls.caFile);
  return Object.freeze({ ...tls });
}

function resolveWs(ws: WsOptions = {}): ResolvedGateOptions['ws'] {
  knownKeys('ws', WS_KEYS, ws);
  const { path = '/gate', port, host = '127.0.0.1', origins = [] } = ws;
  if (typeof path !== 'string' || !/^\/[^\s?#*:]*$/.test(path)) refuse('ws.path', 'a path that starts with /', path);
  if (port !== undefined) checkPort('ws.port', port);
  checkText('ws.host', 'a host name or address', host);
  if (origins !== '*' && !(Array.isArray(origins) && origins.every(origin => typeof origin === 'string'))) {
    refuse('ws.origins', `'*' or an array of origins`, origins);
  }
  return Object.freeze({ path, port, host, origins: origins === '*' ? origins : Object.freeze([...origins]) });
}

function refuse(key: string, allowed: string, value: unknown): never {
  throw new GateError('BAD_ARGUMENT', `Option ${key}: ${inspect(value)} is not allowed; allowed: ${allowed}`);
}

function inspect(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return typeof value;
  }
}
