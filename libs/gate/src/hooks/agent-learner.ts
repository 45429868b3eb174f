import { Injectable } from '@nestjs/common';
import type { ClientAgent } from '../client/client-agent.js';

/**
 * Hooks for connections, with the agent: for code about the connection and not about the session. Errors are logged and
 * affect no client.
 */
export abstract class AgentLearner {
  abstract connect(agent: ClientAgent): void | Promise<void>;
  abstract disconnect(agent: ClientAgent): void | Promise<void>;
}

/** The default: does nothing. */
@Injectable()
export class SilentAgentLearner extends AgentLearner {
  override connect(): void {}
  override disconnect(): void {}
}

/** Whether a hook is the default one, so that no call is needed. */
export function isSilentAgentHook(learner: AgentLearner, hook: 'connect' | 'disconnect'): boolean {
  return learner[hook] === SilentAgentLearner.prototype[hook];
}
