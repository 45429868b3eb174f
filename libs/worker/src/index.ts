export { type ClientId, type JsonValue, type SessionSnapshot, type Settings } from '@nestgate/link';
export { type ErrorBody, type ErrorCode, GateError } from '@nestgate/protocol';
export { type Confirm, type Delivery, GatewayApi, type SendOptions } from './gateway/gateway-api.js';
export { assertName, assertSettings, encodeBody, encodeMessage, MAX_PUSH_BYTES } from './gateway/message.js';
export { createLink, type NodeOptions } from './node/node-options.js';
export { LINK, NODE_OPTIONS, nodeExports, NodeLifecycle, nodeProviders } from './node/node.providers.js';
export { Session } from './session/session.js';
export { type ConnectEvent, type DisconnectEvent, OnConnect, OnDisconnect } from './topics/client-events.js';
export { ClientSession } from './topics/client-session.decorator.js';
export { clientErrorBody } from './topics/error-mapping.js';
export { GateExceptionFilter } from './topics/gate-exception.filter.js';
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
