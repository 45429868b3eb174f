import { GateError, MAX_JSON_DEPTH } from '@nestgate/protocol';
import { compileProxies } from './connection/client-address.js';
import { createPackCipher, type EncryptMode } from './connection/pack-cipher.js';
import { connectionsForFdLimit } from './fd-limit.js';
import type {
  GateOptions,
  LoginRule,
  NumberOption,
  ResolvedGateOptions,
  SlowClientPolicy,
  TcpOptions,
  TlsOptions,
  WsOptions,
} from './gate-options.js';

/** Default, smallest and largest value of each number. Timers of Node end at 2^31-1 ms. */
const NUMBERS: Readonly<Record<NumberOption, readonly [fallback: number, min: number, max: number]>> = {
  maxPackSize: [65_535, 64, 16 * 1024 * 1024],
  maxJsonDepth: [MAX_JSON_DEPTH, 2, 512],
  concurrentTasks: [20, 1, 10_000],
  sendPackBuffNum: [1_000, 1, 1_000_000],
  sendBuffBytes: [1024 * 1024, 1024, 1024 * 1024 * 1024],
  sendBurstBytes: [16 * 1024 * 1024, 1024, 1024 * 1024 * 1024],
  sendBurstTotalBytes: [256 * 1024 * 1024, 1024, 1024 * 1024 * 1024 * 1024],
  slowClientTimeout: [5_000, 100, 600_000],
  overTime: [10_000, 10, 600_000],
  pingInterval: [25_000, 50, 3_600_000],
  heartOverTimer: [60_000, 100, 86_400_000],
  requestTimeout: [30_000, 10, 3_600_000],
  workerWait: [3_000, 0, 600_000],
  startupWait: [1_500, 0, 60_000],
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

const SECRET_KEYS = /secret|pass|token|credential|encryptKey|apiKey/i;
const POLICIES: readonly SlowClientPolicy[] = ['disconnect', 'drop-oldest', 'drop-newest'];
const LOGIN_RULES: readonly LoginRule[] = ['many', 'replace', 'refuse'];
const ENCRYPT_MODES: readonly EncryptMode[] = ['aes-256-gcm', 'river-cbc'];
const OTHER_KEYS: ReadonlySet<string> = new Set(
  'ws tcp tls encryptKey encryptMode login trustedProxies slowClientPolicy requireOnConnect link nodeId secret currentClient'.split(
    ' ',
  ),
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
    // Each is at least as large as the one before it, which stands before it in the table.
    const least =
      key === 'sendBurstBytes' ? numbers.sendBuffBytes : key === 'sendBurstTotalBytes' ? numbers.sendBurstBytes : min;
    const value = options[key] ?? (key === 'maxConnections' ? connectionsForFdLimit() : Math.max(fallback, least));
    if (!Number.isInteger(value) || value < least || value > max)
      refuse(key, `an integer from ${least} to ${max}`, value);
    numbers[key] = value;
  }
  if (options.tls && !options.tcp && options.ws?.port === undefined) {
    // The HTTP server of the app has TLS options of its own (`httpsOptions`); these would do nothing, silently.
    refuse('tls', 'only with tcp or ws.port', options.tls);
  }
  const { encryptKey, encryptMode = 'aes-256-gcm', trustedProxies = [] } = options;
  oneOf('encryptMode', ENCRYPT_MODES, encryptMode);
  if (encryptKey !== undefined) createPackCipher(encryptKey, encryptMode);
  compileProxies(trustedProxies);
  const { requireOnConnect = false } = options;
  if (typeof requireOnConnect !== 'boolean') refuse('requireOnConnect', 'true or false', requireOnConnect);
  return Object.freeze({
    link: options.link,
    nodeId: options.nodeId,
    secret: options.secret,
    currentClient: options.currentClient,
    ...numbers,
    ws: resolveWs(options.ws),
    tcp: options.tcp && resolveTcp(options.tcp),
    tls: options.tls && resolveTls(options.tls),
    encryptKey,
    encryptMode,
    login: oneOf('login', LOGIN_RULES, options.login ?? 'many'),
    trustedProxies: Object.freeze([...trustedProxies]),
    slowClientPolicy: oneOf('slowClientPolicy', POLICIES, options.slowClientPolicy ?? 'disconnect'),
    requireOnConnect,
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
  // What is a secret, or may be one by mistake, is in no error: errors end up in logs.
  const shown = SECRET_KEYS.test(key) ? 'what it has' : inspect(value);
  throw new GateError('BAD_ARGUMENT', `Option ${key}: ${shown} is not allowed; allowed: ${allowed}`);
}

function inspect(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  try {
    return JSON.stringify(value) ?? typeof value;
  } catch {
    return typeof value;
  }
}
