import type { Provider } from '@nestjs/common';
import { type GateModuleExtras, type GateOptions, StorageHandler } from '@nestgate/gate';
import { type NodeOptions, urlForLog } from '@nestgate/worker';
import { jwtProviders, readJwtVerifier } from './jwt-config.js';

/** What the apps read from the environment. */
export interface AppConfig {
  /** `PORT`: HTTP; 0 picks a free one. */
  readonly port: number | undefined;
  /** The node: `NESTGATE_ID`, `NESTGATE_LINK`, `NESTGATE_SECRET`. */
  readonly node: NodeOptions;
  /**
   * The gate, its node included: `TCP_PORT`, `NESTGATE_STORAGE`, `NESTGATE_MSG_RATE`, `NESTGATE_MAX_PER_IP`,
   * `NESTGATE_TRUSTED_PROXIES`, `NESTGATE_JWT_…` (see `readJwtOptions`).
   */
  readonly gate: GateOptions & GateModuleExtras;
}

/**
 * Reads the environment. `defaultLink` is the link of an app when `NESTGATE_LINK` says nothing.
 * @throws {Error} naming the variable, its value and what is allowed.
 */
export function readConfig(env: NodeJS.ProcessEnv, defaultLink: string): AppConfig {
  const tcpPort = integer(env, 'TCP_PORT', 65_535);
  const node: NodeOptions = {
    nodeId: env['NESTGATE_ID'] || undefined,
    link: env['NESTGATE_LINK'] || defaultLink,
    secret: env['NESTGATE_SECRET'] || undefined,
    // No handler of these apps asks for the client at hand.
    currentClient: false,
  };
  return {
    port: integer(env, 'PORT', 65_535),
    node,
    gate: {
      ...node,
      tcp: tcpPort === undefined ? undefined : { port: tcpPort, host: '0.0.0.0' },
      messageRate: integer(env, 'NESTGATE_MSG_RATE', 1_000_000),
      maxConnectionsPerIp: integer(env, 'NESTGATE_MAX_PER_IP', 1_000_000),
      trustedProxies: (env['NESTGATE_TRUSTED_PROXIES'] || undefined)?.split(',').map(proxy => proxy.trim()),
      providers: [
        ...storageProviders(env['NESTGATE_STORAGE'] || 'memory:'),
        ...jwtProviders(readJwtVerifier(env), tcpPort !== undefined),
      ],
    },
  };
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

function integer(env: NodeJS.ProcessEnv, name: string, max: number): number | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new Error(`${name}=${text} is not allowed; allowed: an integer from 0 to ${max}`);
  }
  return value;
}
