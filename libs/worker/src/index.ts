export {
  type ClientDetail,
  type ClientId,
  type ClientRow,
  type GateReport,
  type JsonInput,
  type JsonValue,
  type LinkFigures,
  type LoopDelayFigures,
  type NodeFigures,
  NodeMetrics,
  type NodeReport,
  type PeerBacklog,
  type SessionSnapshot,
  type Settings,
  type SettingsInput,
  type TapAnswer,
  type TapFrame,
} from '@nestgate/link';
export { type ErrorBody, type ErrorCode, GateError, isName, logText, urlForLog } from '@nestgate/protocol';
export { type GateClientOptions } from './client/gate-client-options.js';
export { type GateClientEvents, GateClientProxy, type GateClientStatus } from './client/gate-client-proxy.js';
export { type GatePattern, type GatePatterns } from './client/gate-patterns.js';
export { GatewayApi } from './gateway/gateway-api.js';
export {
  type CallClientOptions,
  type CallUidOptions,
  type ClientAnswer,
  GatewayCalls,
} from './gateway/gateway-calls.js';
export { GatewayAuth, type RevokeOptions } from './gateway/gateway-auth.js';
export { GatewayClients, type MergeOptions } from './gateway/gateway-clients.js';
export { GatewayPushes } from './gateway/gateway-pushes.js';
export {
  type Answer,
  type AnyEvents,
  type BroadcastOptions,
  type Confirm,
  type Delivery,
  type ClientState,
  type EventMap,
  type Missing,
  type NoOptions,
  type Page,
  type PageOptions,
  type PushArgs,
  type PushOutcome,
  type QueryOptions,
  type Receipt,
  type SendOptions,
  type SingleOutcome,
  type TopicOf,
  type WaitOptions,
} from './gateway/options.js';
export { type PagesOptions } from './gateway/queries.js';
export { GatewayHttpModule } from './http/gateway-http.module.js';
export { type HttpFigures, HttpMetrics } from './http/http-counters.js';
export { type HttpOperationName, type HttpScope } from './http/http-operations.js';
export { type GatewayHttpExtras, type GatewayHttpOptions, type HttpKey } from './http/http-options.js';
export { LoopbackGuard } from './http/loopback.js';
export { MAX_PUSH_BYTES } from './message/message.js';
export { SafeLogger, type SafeLoggerOptions } from './log/safe-logger.js';
export { WorkerMetrics, type WorkerFigures } from './metrics/worker-metrics.js';
export { type HandlerObserver, HandlerObservers, type ObservedHandler } from './telemetry/handler-observers.js';
export { type ContractOptions, type ValidateMode } from './contract/contract-options.js';
export { type NodeOptions } from './node/node-options.js';
export { LINK } from './node/node.providers.js';
export {
  ClusterApi,
  type DrainOptions,
  type MoveOptions,
  type TapOptions,
  type TopicTapAnswer,
} from './operate/cluster-api.js';
export {
  type GroupPresence,
  OnPresence,
  type PresenceEvent,
  type PresenceType,
  type UidPresence,
} from './presence/on-presence.decorator.js';
export { PresenceContext } from './presence/presence-context.js';
export { Session } from './session/session.js';
export { type Credentials } from './gateway/credentials.js';
export {
  type ConnectEvent,
  type DetachEvent,
  type DisconnectEvent,
  OnConnect,
  OnDetach,
  OnDisconnect,
  OnResume,
  type ResumeEvent,
} from './topics/client-events.js';
export { AbortSignal } from './topics/abort-signal.decorator.js';
export { ClientSession } from './topics/client-session.decorator.js';
export {
  type EntryDecorator,
  type Eventually,
  type HandledEntry,
  type HandlerOf,
  type ResultOf,
} from './contract/contract-handler.js';
export { type IssueDetail } from './contract/schema-issues.js';
export { GateExceptionFilter } from './topics/errors/gate-exception.filter.js';
export { type TopicLoad } from './topics/run/lane-table.js';
export { GateTransport, type GateTransportEvents, type GateTransportStatus } from './topics/gate-transport.js';
export { GATE_TRANSPORT_ID, OnTopic, type OnTopicOptions } from './topics/on-topic.decorator.js';
export { TopicContext } from './topics/topic-context.js';
export {
  GatewayApiModule,
  type GatewayApiModuleOptions,
  type NodeModuleExtras,
  WorkerModule,
  type WorkerModuleOptions,
} from './worker.module.js';
export { type WebhookFigures, WebhookMetrics } from './webhooks/webhook-counters.js';
export {
  type WebhookEvent,
  type WebhookExtras,
  type WebhookModuleOptions,
  type WebhookOptions,
} from './webhooks/webhook-options.js';
export { WebhookModule } from './webhooks/webhook.module.js';
