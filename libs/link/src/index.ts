export { pushContract, type PushMessage } from './contracts/push-contract.js';
export { inAsyncScope } from './async-scope.js';
export { ByteReader, ByteWriter } from './bytes.js';
export {
  type Caller,
  type CallOptions,
  createCaller,
  DEFAULT_CALL_DEADLINE_MS,
  type Gathered,
  ownerOf,
} from './caller.js';
export {
  assertNodeId,
  type ClientId,
  clientIdPrefix,
  flatText,
  formatClientId,
  isNodeId,
  parseClientId,
  type ParsedClientId,
  serialWithPrefix,
} from './client-id.js';
export { type Codec, type CodecValue } from './codec.js';
export { gateContract, type GateContract, type LoginClaim } from './contracts/gate-contract.js';
export {
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceKind,
  type PresenceNotice,
  watchContract,
} from './contracts/presence-contract.js';
export { standstillContract, type UngroupNotice } from './contracts/standstill-contract.js';
export { revocationContract, type RevocationNotice } from './contracts/revocation-contract.js';
export {
  groupChannel,
  type MessageArgs,
  sessionContract,
  type SessionContract,
  uidChannel,
} from './contracts/session-contract.js';
export {
  type JsonInput,
  type JsonValue,
  type SessionSnapshot,
  type Settings,
  type SettingsInput,
} from './contracts/session-snapshot.js';
export {
  type ClientMessage,
  CONNECT_TOPIC,
  DISCONNECT_TOPIC,
  MALFORMED_BODY,
  topicContract,
  type TopicContract,
} from './contracts/topic-contract.js';
export { Deadline, DeadlineWheel } from './deadline-wheel.js';
export { Defects, type ReportDefect } from './defects.js';
export { Dispatcher, type Handlers, type IncomingCall } from './dispatcher.js';
export { MemoryBus } from './drivers/memory-link.js';
export { type TcpTlsOptions } from './drivers/tcp-address.js';
export { TcpLink, type TcpLinkOptions } from './drivers/tcp-link.js';
export { type TcpLinkCounters } from './drivers/tcp-listener.js';
export { Fifo } from './fifo.js';
export { HybridClock } from './hybrid-clock.js';
export { type LinkCounters } from './link-counters.js';
export { LinkNode, type LinkNodeOptions } from './link-node.js';
export { listenAlone } from './listen-alone.js';
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
  allOp,
  any,
  type ArgsOf,
  castOp,
  concat,
  type Contract,
  type Merge,
  first,
  mergeRecords,
  nodeOp,
  type Operation,
  ownerOp,
  ownerQueryOp,
  ownersOp,
  ownersQueryOp,
  queryOp,
  type ReplyRule,
  type ResultOf,
  sum,
  type Target,
} from './operation.js';
export { assertKnownOptions, kindOf, optionKeys } from './options.js';
export { Peer } from './peer.js';
export { Pending, PendingCall } from './pending.js';
