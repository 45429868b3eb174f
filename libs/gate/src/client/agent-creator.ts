import { Injectable } from '@nestjs/common';
import type { SessionState } from '../session/session-state.js';
import { type AgentHost, ClientAgent } from './client-agent.js';
import type { Connection } from '../connection/connection.js';
import type { Wire } from '../codec/wire.js';

/** Creates the agent of each new connection. Replace it to use a subclass of {@link ClientAgent}. */
@Injectable()
export class AgentCreator {
  create(host: AgentHost, serial: number, session: SessionState, connection: Connection, wire: Wire): ClientAgent {
    return new ClientAgent(host, serial, session, connection, wire);
  }
}

/** Whether the default creator is used. Unlike code of the application, it needs no separate async context. */
export function isOwnCreator(creator: AgentCreator): boolean {
  return creator.create === AgentCreator.prototype.create;
}
