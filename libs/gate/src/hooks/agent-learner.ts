import { Injectable } from '@nestjs/common';
import type { ClientAgent } from '../connection/client-agent.js';

/**
 * Told of connections, as agents: for what is about the connection and not about the session. Errors are logged and hurt
 * nobody.
 */
export abstract class AgentLearner {
  abstract connect(agent: ClientAgent): void | Promise<void>;
  abstract disconnect(agent: ClientAgent): void | Promise<void>;
}

/** The default: learns nothing. */
@Injectable()
export class SilentAgentLearner extends AgentLearner {
  override connect(): void {}
  override disconnect(): void {}
}
