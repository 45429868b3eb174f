export { type AgentHost, ClientAgent } from './connection/client-agent.js';
export { type Connection, type ConnectionEvents } from './connection/connection.js';
export { GateWsAdapter } from './connection/gate-ws-adapter.js';
export { type Wire } from './connection/wire.js';
export { Delegater } from './delegater.js';
export { type GateCounter, GateCounters } from './gate-counters.js';
export {
  type GateOptions,
  type ResolvedGateOptions,
  resolveGateOptions,
  type SlowClientPolicy,
  type WsOptions,
} from './gate-options.js';
export { GateModule, type GateModuleExtras } from './gate.module.js';
export { Gate } from './gate.js';
export { HandshakeHandler, HandshakeRequest, type HandshakeResult } from './hooks/handshake-handler.js';
export { type DisconnectReason, SessionLearner } from './hooks/session-learner.js';
