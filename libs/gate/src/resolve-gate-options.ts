import { assertKnownOptions, optionKeys } from '@nestgate/link/internal';
import { MAX_JSON_DEPTH } from '@nestgate/protocol';
import { checkLinkOptions, isLinkUnset } from '@nestgate/worker/internal';
import { compileProxies } from './admission/client-address.js';
import { compileOrigins } from './admission/origins.js';
import { createPackCipher, type EncryptMode } from './codec/pack-cipher.js';
import { connectionsForFdLimit } from './fd-limit.js';
import { resolveResumeOptions } from './resume/resolve-resume-options.js';
import { refuse } from './refuse-option.js';
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

/** The default of `drainTimeout` with `resume`. */
const RESUME_DRAIN_MS = 30_000;
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
  rebalanceRate: [100, 0, 100_000],
  messageRate: [100, 0, 1_000_000],
  maxConnections: [0, 0, 10_000_000],
  maxConnectionsPerIp: [100, 0, 10_000_000],
  maxConnectionRate: [2_000, 0, 1_000_000],
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
const OTHER_KEYS = optionKeys<Omit<GateOptions, NumberOption>>({
  ws: true,
  tcp: true,
  tls: true,
  encryptKey: true,
  encryptMode: true,
  login: true,
  trustedProxies: true,
  slowClientPolicy: true,
  requireOnConnect: true,
  resume: true,
  link: true,
  nodeId: true,
  secret: true,
  currentClient: true,
  joinWithoutServer: true,
  contracts: true,
  strict: true,
  validate: true,
});
/** Those of the module too, although they are not here any more: one of them may be what a misspelt option meant. */
const KEYS: readonly string[] = [...OTHER_KEYS, ...Object.keys(NUMBERS), 'isGlobal', 'providers', 'imports', 'codecs'];
const WS_KEYS = optionKeys<WsOptions>({ path: true, port: true, host: true, origins: true });
const TCP_KEYS = optionKeys<TcpOptions>({ port: true, host: true, codec: true });
const TLS_KEYS = optionKeys<TlsOptions>({ certFile: true, keyFile: true, caFile: true });

/**
 * Checks options, fills in the defaults and freezes the result.
 * @throws {GateError} `BAD_ARGUMENT` naming the key, its value and what is allowed.
 */
export function resolveGateOptions(options: GateOptions = {}): ResolvedGateOptions {
  assertKnownOptions('GateModule', options, KEYS);
  checkLinkOptions('GateModule', options);
  const numbers = {} as Record<NumberOption, number>;
  for (const [key, [fallback, min, max]] of Object.entries(NUMBERS) as [NumberOption, [number, number, number]][]) {
    // Each is at least as large as the one before it, which stands before it in the table.
    const least =
      key === 'sendBurstBytes' ? numbers.sendBuffBytes : key === 'sendBurstTotalBytes' ? numbers.sendBurstBytes : min;
    // Sessions that move take their time.
    const usual = key === 'drainTimeout' && options.resume !== undefined ? RESUME_DRAIN_MS : fallback;
    const value = options[key] ?? (key === 'maxConnections' ? connectionsForFdLimit() : Math.max(usual, least));
    if (!Number.isInteger(value) || value < least || value > max)
      refuse(key, `an integer from ${least} to ${max}`, value);
    numbers[key] = value;
  }
  if (options.tls !== undefined && options.tcp === undefined && options.ws?.port === undefined) {
    // The HTTP server of the app has TLS options of its own (`httpsOptions`); these would do nothing, silently.
    refuse('tls', 'only with tcp or ws.port', options.tls);
  }
  const { tcp, tls, encryptKey, encryptMode = 'aes-256-gcm', trustedProxies = [] } = options;
  oneOf('encryptMode', ENCRYPT_MODES, encryptMode);
  if (encryptKey !== undefined && typeof encryptKey !== 'string') refuse('encryptKey', 'a string', encryptKey);
  if (encryptKey !== undefined) createPackCipher(encryptKey, encryptMode);
  if (!Array.isArray(trustedProxies)) refuse('trustedProxies', 'an array of addresses and CIDR ranges', trustedProxies);
  compileProxies(trustedProxies);
  const { requireOnConnect = false } = options;
  if (typeof requireOnConnect !== 'boolean') refuse('requireOnConnect', 'true or false', requireOnConnect);
  return Object.freeze({
    link: options.link,
    nodeId: options.nodeId,
    secret: options.secret,
    currentClient: options.currentClient,
    joinWithoutServer: options.joinWithoutServer,
    contracts: options.contracts,
    strict: options.strict,
    validate: options.validate,
    ...numbers,
    ws: resolveWs(options.ws),
    tcp: tcp === undefined ? undefined : resolveTcp(tcp),
    tls: tls === undefined ? undefined : resolveTls(tls),
    encryptKey,
    encryptMode,
    login: oneOf('login', LOGIN_RULES, options.login ?? 'many'),
    trustedProxies: Object.freeze([...trustedProxies]),
    slowClientPolicy: oneOf('slowClientPolicy', POLICIES, options.slowClientPolicy ?? 'disconnect'),
    requireOnConnect,
    resume: options.resume === undefined ? undefined : resolveResumeOptions(options.resume),
  });
}

/**
 * What of these options is allowed, and hardly meant: a sentence for the log of each. `options` as they were given: a key that is there
 * and `undefined` was meant to have a value.
 */
export function doubtsAbout(options: GateOptions, resolved: ResolvedGateOptions): readonly string[] {
  const doubts: string[] = [];
  const { pingInterval, heartOverTimer, encryptKey, ws } = resolved;
  if (isLinkUnset(options)) {
    doubts.push(
      'Option link is undefined, as when an environment variable is not set: this gate is on "memory:", where no worker reaches it. ' +
        'Leave the key out if that is meant',
    );
  }
  if (encryptKey === undefined && ('encryptKey' in options || options.encryptMode !== undefined)) {
    doubts.push(
      'Option encryptKey is undefined: packs are not encrypted. Leave it out, and encryptMode, if that is meant',
    );
  }
  if (heartOverTimer <= pingInterval) {
    doubts.push(
      `Option heartOverTimer (${heartOverTimer}) is not more than pingInterval (${pingInterval}): ` +
        'clients that send nothing by themselves are closed before they are pinged',
    );
  }
  if (ws.port === undefined && options.ws?.host !== undefined) {
    doubts.push('Option ws.host does nothing without ws.port: the endpoint is on the HTTP server of the app');
  }
  return doubts;
}

function oneOf<T extends string>(key: string, allowed: readonly T[], value: T): T {
  return allowed.includes(value) ? value : refuse(key, allowed.join(', '), value);
}

function checkPort(key: string, port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) refuse(key, 'an integer from 0 to 65535', port);
}

function checkText(key: string, allowed: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') refuse(key, allowed, value);
}

function resolveTcp(tcp: TcpOptions): ResolvedGateOptions['tcp'] {
  assertKnownOptions('GateModule', tcp, TCP_KEYS, 'tcp.');
  const { port, host = '127.0.0.1', codec = 'pack' } = tcp;
  checkPort('tcp.port', port);
  checkText('tcp.host', 'a host name or address', host);
  checkText('tcp.codec', "'pack', 'frame', or the name of a custom codec", codec);
  return Object.freeze({ port, host, codec });
}

function resolveTls(tls: TlsOptions): TlsOptions {
  assertKnownOptions('GateModule', tls, TLS_KEYS, 'tls.');
  checkText('tls.certFile', 'a file in PEM', tls.certFile);
  checkText('tls.keyFile', 'a file in PEM', tls.keyFile);
  if (tls.caFile !== undefined) checkText('tls.caFile', 'a file in PEM', tls.caFile);
  return Object.freeze({ ...tls });
}

function resolveWs(ws: WsOptions = {}): ResolvedGateOptions['ws'] {
  assertKnownOptions('GateModule', ws, WS_KEYS, 'ws.');
  const { path = '/gate', port, host = '127.0.0.1', origins = [] } = ws;
  if (typeof path !== 'string' || !/^\/[^\s?#*:]*$/.test(path)) refuse('ws.path', 'a path that starts with /', path);
  if (port !== undefined) checkPort('ws.port', port);
  checkText('ws.host', 'a host name or address', host);
  if (origins !== '*' && !(Array.isArray(origins) && origins.every(origin => typeof origin === 'string'))) {
    refuse('ws.origins', `'*' or an array of origins`, origins);
  }
  compileOrigins(origins);
  return Object.freeze({ path, port, host, origins: origins === '*' ? origins : Object.freeze([...origins]) });
}
