export { type Codec, type InFrame, jsonCodec, type OutFrame, type WireData } from './messages/codec.js';
export { connect } from './connect.js';
export type { BodyOf, EntryKind, ErrorCodeOf, ItemOf, NoContract, ReplyOf, TopicOf } from './contract-types.js';
export {
  type Environment,
  hostEnvironment,
  type HostGlobals,
  type PageEvent,
  type Timer,
} from './connection/environment.js';
export { type ClientErrorCode, GateError, isGateError } from './errors.js';
export type { GateClient } from './gate-client.js';
export type { LoadReason } from './messages/loader.js';
export type {
  AbortSignalLike,
  ClientEvents,
  ClientStats,
  ConnectOptions,
  ErrorContext,
  GapEvent,
  GateState,
  MessagesOptions,
  RequestOptions,
  ResumedEvent,
  SendOptions,
  SessionEvent,
  SessionState,
  SessionStore,
  StreamOptions,
} from './options.js';
export type { BufferLimits } from './messages/outbox.js';
export { pageStore, type StorageLike } from './session/page-store.js';
export type { SavedSession } from './session/session.js';
export type { WebSocketConstructor, WebSocketLike } from './connection/socket.js';
export type { ExpiringToken, TokenCallback, TokenReason, TokenResult } from './session/tokens.js';
export { whenOnline } from './connection/when-online.js';
