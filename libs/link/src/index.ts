export { type ClientId, parseClientId, type ParsedClientId } from './client-id.js';
export {
  type JsonInput,
  type JsonValue,
  type SessionSnapshot,
  type Settings,
  type SettingsInput,
} from './contracts/session-snapshot.js';
export { MemoryBus } from './drivers/memory/memory-link.js';
export { type TcpTlsOptions } from './drivers/tcp/endpoint/tcp-address.js';
export { TcpLink, type TcpLinkOptions } from './drivers/tcp/tcp-link.js';
export { type TcpLinkCounters } from './drivers/tcp/endpoint/tcp-listener.js';
export { type LinkCounters } from './common/link-counters.js';
export { LinkNode, type LinkNodeOptions } from './node/link-node.js';
export { type LoopDelayFigures } from './metrics/loop-delay.js';
export { type LinkFigures, type NodeFigures, NodeMetrics, type PeerBacklog } from './metrics/node-metrics.js';
export {
  ALL_GATES,
  type Link,
  type LinkEvents,
  type LinkFrame,
  type NodeId,
  type NodeInfo,
  type NodeRole,
  type PeerChange,
  type UnreachedGate,
  type SendResult,
} from './link.js';
export {
  type ClientDetail,
  type ClientRow,
  type GateReport,
  type NodeReport,
  type GateTapAnswer,
  type TapAnswer,
  type TapFrame,
} from './contracts/operate-contract.js';
