import type { Provider } from '@nestjs/common';
import { type GateModuleExtras, type GateOptions, type ResumeOptions, StorageHandler } from '@nestgate/gate';
import { type HttpKey, type HttpScope, type NodeOptions, urlForLog } from '@nestgate/worker';
import { jwtProviders, readJwtVerifier } from './auth/jwt-config.js';

/** What the apps read from the environment. */
export interface AppConfig {
  /** `PORT`: HTTP; 0 picks a free one. */
  readonly port: number | undefined;
  /** `NESTGATE_OPS_PORT`: `/health` and `/metrics` for other hosts; 0 picks a free one. */
  readonly opsPort: number | undefined;
  /** The node: `NESTGATE_ID`, `NESTGATE_LINK`, `NESTGATE_SECRET`. */
  readonly node: NodeOptions;
  /**
   * The gate, its node included: `TCP_PORT`, `NESTGATE_STORAGE`, `NESTGATE_MSG_RATE`, `NESTGATE_MAX_PER_IP`,
   * `NESTGATE_TRUSTED_PROXIES`, `NESTGATE_RESUME`, `NESTGATE_SPOOL_DIR`, `NESTGATE_JWT_…` (see `readJwtOptions`).
   */
  readonly gate: GateOptions & GateModuleExtras;
  /** `NESTGATE_HTTP_KEYS`: the keys of the HTTP API; without any there is none. */
  readonly httpKeys: readonly HttpKey[];
  /** `NESTGATE_ADMIN`: the admin page, for programs on the same host. */
  readonly admin: boolean;
}

/**
 * Reads the environment. `defaultLink` is the link of an app when `NESTGATE_LINK` says nothing, `resumes` whether sessions outlive their
 * connections when `NESTGATE_RESUME` says nothing, `hasAdmin` whether there is an admin page when `NESTGATE_ADMIN` says nothing.
 * @throws {Error} naming the variable, its value and what is allowed.
 */
export function readConfig(env: NodeJS.ProcessEnv, defaultLink: string, resumes = false, hasAdmin = false): AppConfig {
  const tcpPort = integer(env, 'TCP_PORT', 65_535);
  // As many clients of one address as may be connected may lose their connection together.
  const maxPerIp = integer(env, 'NESTGATE_MAX_PER_IP', 1_000_000);
  const node: NodeOptions = {
    nodeId: env['NESTGATE_ID'] || undefined,
    link: env['NESTGATE_LINK'] || defaultLink,
    secret: env['NESTGATE_SECRET'] || undefined,
    // No handler of these apps asks for the current client.
    currentClient: false,
  };
  return {
    port: integer(env, 'PORT', 65_535),
    opsPort: integer(env, 'NESTGATE_OPS_PORT', 65_535),
    node,
    admin: isOn(env, 'NESTGATE_ADMIN', hasAdmin),
    httpKeys: httpKeys(env['NESTGATE_HTTP_KEYS'] || ''),
    gate: {
      ...node,
      tcp: tcpPort === undefined ? undefined : { port: tcpPort, host: '0.0.0.0' },
      messageRate: integer(env, 'NESTGATE_MSG_RATE', 1_000_000),
      maxConnectionsPerIp: maxPerIp,
      resume: resumeOptions(env, resumes, maxPerIp),
      trustedProxies: (env['NESTGATE_TRUSTED_PROXIES'] || undefined)?.split(',').map(proxy => proxy.trim()),
      providers: [
        ...storageProviders(env['NESTGATE_STORAGE'] || 'memory:'),
        ...jwtProviders(readJwtVerifier(env), tcpPort !== undefined),
      ],
    },
  };
}

function resumeOptions(
  env: NodeJS.ProcessEnv,
  isUsual: boolean,
  maxDetachedPerAddress: number | undefined,
): ResumeOptions | undefined {
  const spoolDir = env['NESTGATE_SPOOL_DIR'] || undefined;
  if (isOn(env, 'NESTGATE_RESUME', isUsual)) return { maxDetachedPerAddress, spoolDir };
  if (spoolDir !== undefined) throw new Error(`NESTGATE_SPOOL_DIR=${spoolDir} is allowed only with NESTGATE_RESUME=on`);
  return undefined;
}

/** `name:sha256:scope+scope`, comma-separated. */
function httpKeys(text: string): readonly HttpKey[] {
  if (text === '') return [];
  return text.split(',').map(each => {
    const [name = '', sha256 = '', scopes = '', ...rest] = each.trim().split(':');
    if (rest.length > 0 || scopes === '') {
      // Never the text itself: it may be a key.
      throw new Error('NESTGATE_HTTP_KEYS is not allowed; allowed: name:sha256:push+query+manage, comma-separated');
    }
    return { name, sha256, scopes: scopes.split('+') as HttpScope[] };
  });
}

/** `memory:` is the gate's own default. */
function storageProviders(url: string): Provider[] {
  if (url === 'memory:') return [];
  if (!/^rediss?:\/\//.test(url)) {
    // Never the URL itself: it may hold a password.
    throw new Error(`NESTGATE_STORAGE=${urlForLog(url)} is not allowed; allowed: memory:, redis://…, rediss://…`);
  }
  // Loaded only where it is used.
  const useFactory = async (): Promise<StorageHandler> => {
    const { RedisStorage } = await import('@nestgate/gate/redis');
    return new RedisStorage({ client: url });
  };
  return [{ provide: StorageHandler, useFactory }];
}

function isOn(env: NodeJS.ProcessEnv, name: string, fallback: boolean): boolean {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  if (text !== 'on' && text !== 'off') throw new Error(`${name}=${text} is not allowed; allowed: on, off`);
  return text === 'on';
}

function integer(env: NodeJS.ProcessEnv, name: string, max: number): number | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new Error(`${name}=${text} is not allowed; allowed: an integer from 0 to ${max}`);
  }
  return value;
}
