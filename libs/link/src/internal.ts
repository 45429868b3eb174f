/**
 * What the other libs of nestgate need of this one. It is no part of the public surface, and changes without notice: see
 * `docs/adr/0001-internal-entry.md`.
 */
export { askContract, type AskContract } from './contracts/ask-contract.js';
export {
  gapContract,
  itemContract,
  type StreamAdoption,
  streamContract,
  type StreamEnd,
  type StreamItem,
  type StreamMessage,
  UNKNOWN_STREAM,
} from './contracts/stream-contract.js';
export { pushContract, type PushMessage } from './contracts/push-contract.js';
export {
  MAX_RECEIPT_MS,
  type PushReceipt,
  receiptContract,
  type ReceiptContract,
} from './contracts/receipt-contract.js';
export {
  type MoveEnd,
  moveContract,
  type MovingStream,
  type ResumeAnswer,
  type ResumeAsk,
  type SessionTransfer,
  type SessionTurn,
  type TailGap,
  type TailItem,
  turnContract,
} from './contracts/move-contract.js';
export { type Holder, Holders } from './node/holders.js';
export { inAsyncScope } from './common/async-scope.js';
export { ByteReader, ByteWriter } from './wire/bytes.js';
export { type Caller, type CallOptions, createCaller, DEFAULT_CALL_DEADLINE_MS, type Gathered } from './node/caller.js';
export { birthGateOf, ownerOf } from './node/targets.js';
export { assertNodeId, clientIdPrefix, flatText, formatClientId, isNodeId, serialWithPrefix } from './client-id.js';
export { type Codec, type CodecValue } from './wire/codec.js';
export { gateContract, type GateContract, type LoginClaim } from './contracts/gate-contract.js';
export {
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceKind,
  type PresenceNotice,
  watchContract,
} from './contracts/presence-contract.js';
export { operateContract, reportContract } from './contracts/operate-contract.js';
export { standstillContract, type UngroupNotice } from './contracts/revocation-contract.js';
export { revocationContract, type RevocationNotice } from './contracts/revocation-contract.js';
export {
  groupChannel,
  type MessageArgs,
  sessionContract,
  type SessionContract,
  uidChannel,
} from './contracts/session-contract.js';
export {
  type ClientMessage,
  CONNECT_TOPIC,
  DETACH_TOPIC,
  DISCONNECT_TOPIC,
  loadContract,
  MALFORMED_BODY,
  RESUME_TOPIC,
  topicContract,
  type TopicContract,
} from './contracts/topic-contract.js';
export { Deadline, DeadlineCall, DeadlineWheel } from './common/deadline-wheel.js';
export { Defects, type ReportDefect } from './common/defects.js';
export { Dispatcher, type Handlers } from './node/dispatcher.js';
export { Fifo } from './common/fifo.js';
export { HybridClock } from './common/hybrid-clock.js';
export { listenAlone } from './common/listen-alone.js';
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
} from './wire/operation.js';
export { codeOf, messageOf, parseJson, present } from './common/checked.js';
export { within } from './common/within.js';
export { assertKnownOptions, kindOf, optionKeys } from './common/options.js';
export { type IncomingCall, Peer, type PeerContext } from './peer/peer.js';
export { copyOf, SocketFastPath, type SocketReader, type SocketWriter } from './sockets/socket-fast-path.js';
export { takenBytes } from './internals/node.js';
export { RemotePeer } from './peer/remote-peer.js';
export { Pending, PendingCall } from './peer/pending.js';
