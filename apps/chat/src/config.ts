import type { GateOptions } from '@nestgate/gate';

/** What the app reads from the environment. */
export interface ChatConfig {
  /** `PORT`: HTTP page, `/gate` and `/health`; 0 picks a free one. */
  readonly port: number;
  readonly gate: GateOptions;
}

/** @throws {Error} naming the variable, its value and what is allowed. */
export function readConfig(env: NodeJS.ProcessEnv): ChatConfig {
  return {
    port: integer(env, 'PORT', 65_535) ?? 3000,
    gate: {
      nodeId: env['NESTGATE_ID'] || undefined,
      link: env['NESTGATE_LINK'] || undefined,
      messageRate: integer(env, 'NESTGATE_MSG_RATE', 1_000_000),
      maxConnectionsPerIp: integer(env, 'NESTGATE_MAX_PER_IP', 1_000_000),
    },
  };
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
