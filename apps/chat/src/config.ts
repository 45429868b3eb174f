import type { Provider } from '@nestjs/common';
import { type GateModuleExtras, type GateOptions, StorageHandler } from '@nestgate/gate';
import { RedisStorage } from '@nestgate/gate/redis';

/** What the app reads from the environment. */
export interface ChatConfig {
  /** `PORT`: HTTP page, `/gate` and `/health`; 0 picks a free one. */
  readonly port: number;
  readonly gate: GateOptions & GateModuleExtras;
}

/** @throws {Error} naming the variable, its value and what is allowed. */
export function readConfig(env: NodeJS.ProcessEnv): ChatConfig {
  const tcpPort = integer(env, 'TCP_PORT', 65_535);
  return {
    port: integer(env, 'PORT', 65_535) ?? 3000,
    gate: {
      nodeId: env['NESTGATE_ID'] || undefined,
      link: env['NESTGATE_LINK'] || undefined,
      tcp: tcpPort === undefined ? undefined : { port: tcpPort, host: '0.0.0.0' },
      messageRate: integer(env, 'NESTGATE_MSG_RATE', 1_000_000),
      maxConnectionsPerIp: integer(env, 'NESTGATE_MAX_PER_IP', 1_000_000),
      providers: storageProviders(env['NESTGATE_STORAGE'] || 'memory:'),
    },
  };
}

/** `memory:` is the gate's own default. */
function storageProviders(url: string): Provider[] {
  if (url === 'memory:') return [];
  if (!/^rediss?:\/\//.test(url)) {
    throw new Error(`NESTGATE_STORAGE=${url} is not allowed; allowed: memory:, redis://…, rediss://…`);
  }
  return [{ provide: StorageHandler, useFactory: () => new RedisStorage({ client: url }) }];
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
