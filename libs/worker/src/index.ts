export {
  type ClientId,
  type JsonInput,
  type JsonValue,
  type LinkFigures,
  type LoopDelayFigures,
  type NodeFigures,
  NodeMetrics,
  type PeerBacklog,
  type SessionSnapshot,
  type Settings,
  type SettingsInput,
} from '@nestgate/link';
export { type ErrorBody, type ErrorCode, GateError, isName, logText, urlForLog } from '@nestgate/protocol';
export { type GateClientOptions } from './client/gate-client-options.js';
export { type GateClientEvents, GateClientProxy, type GateClientStatus } from './client/gate-client-proxy.js';
export { type GatePattern, type GatePatterns } from './client/gate-patterns.js';
export { GatewayApi } from './gateway/gateway-api.js';
export { GatewayAuth, type RevokeOptions } from './gateway/gateway-auth.js';
export { GatewayClients, type MergeOptions } from './gateway/gateway-clients.js';
export { GatewayPushes } from './gateway/gateway-pushes.js';
export {
  type Answer,
  type AnyEvents,
  type BroadcastOptions,
  type Confirm,
  type Delivery,
  type EventMap,
  type Missing,
  type NoOptions,
  type Page,
  type PageOptions,
  type PushArgs,
  type PushOutcome,
  type QueryOptions,
  type SendOptions,
  type SingleOutcome,
  type TopicOf,
  type WaitOptions,
} from './gateway/options.js';
export { type PagesOptions } from './gateway/pages.js';
export {
  assertName,
  assertSettings,
  encodeBody,
  encodeMessage,
  MAX_PUSH_BYTES,
  settingsEntries,
} from './gateway/message.js';
export { BoundedLog } from './log/bounded-log.js';
export { SafeLogger, type SafeLoggerOptions } from './log/safe-logger.js';
export { WorkerMetrics, type WorkerFigures } from './metrics/worker-metrics.js';
export { AppStart, AppStartModule } from './node/app-start.js';
export { checkAsyncOptions, checkNoExtras, checkOptions } from './node/module-options.js';
export { checkLinkOptions, createLink, isLinkUnset, NODE_OPTIONS, type NodeOptions } from './node/node-options.js';
export { LINK, nodeExports, NodeLifecycle, nodeProviders } from './node/node.providers.js';
export {
  type GroupPresence,
  OnPresence,
  type PresenceEvent,
  type PresenceType,
  type UidPresence,
} from './presence/on-presence.decorator.js';
export { PresenceContext } from './presence/presence-context.js';
export { Session } from './session/session.js';
export { assertMoment, type Credentials } from './gateway/credentials.js';
export { type ConnectEvent, type DisconnectEvent, OnConnect, OnDisconnect } from './topics/client-events.js';
export { ClientSession } from './topics/client-session.decorator.js';
export { clientErrorBody } from './topics/error-mapping.js';
export { sendableError } from './topics/topic-error.js';
export { GateExceptionFilter } from './topics/gate-exception.filter.js';
export { type TopicLoad } from './topics/lane-table.js';
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
