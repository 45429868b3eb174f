export { AgentCreator } from './client/agent-creator.js';
export { type AgentHost, ClientAgent, type ConnectionEnd } from './client/client-agent.js';
export { type CustomCodecs, type StreamCodec } from './codec/codec.js';
export { type Connection, type ConnectionEvents } from './connection/connection.js';
export { GateWsAdapter } from './websocket/gate-ws-adapter.js';
export { type EncryptMode } from './codec/pack-cipher.js';
export { SocketFastPath } from '@nestgate/link/internal';
export { type Splitter, type SplitFault } from './codec/stream-splitter.js';
export { type Wire } from './codec/wire.js';
export { Delegater } from './delegater.js';
export { type GateCounter, GateCounters } from './gate-counters.js';
export {
  type AwayPresence,
  type GateOptions,
  type LoginRule,
  type ResolvedGateOptions,
  type ResolvedResumeOptions,
  type ResumeOptions,
  type SlowClientPolicy,
  type TcpOptions,
  type TlsOptions,
  type WsOptions,
} from './gate-options.js';
export { GateModule, type GateModuleExtras } from './gate.module.js';
export { Gate } from './gate.js';
export { AgentLearner } from './hooks/agent-learner.js';
export { HandshakeHandler, type HandshakeResult } from './hooks/handshake-handler.js';
export { HandshakeRequest } from './hooks/handshake-request.js';
export { type DetachReason, type DisconnectReason, type ResumeInfo, SessionLearner } from './hooks/session-learner.js';
export { type IncomingPack, RecvPackHandler, RouteHandler, SendMessageHook } from './hooks/pack-hooks.js';
export { type TappedBody, TapRedactor } from './hooks/tap-redactor.js';
export { type WorkerCandidate, WorkerChoice, type WorkerQuestion } from './hooks/worker-choice.js';
export {
  type ClientFigures,
  type FrameFigures,
  type GateFigures,
  GateMetrics,
  type OutboxFigures,
} from './metrics/gate-metrics.js';
export { type ResumeFigures } from './resume/resumable-sessions.js';
export { MemoryStorage, type MemoryStorageOptions } from './storage/memory-storage.js';
export { type SettingsChange, StorageHandler, type StorageLimits } from './storage/storage-handler.js';
export { resolveGateOptions } from './resolve-gate-options.js';
