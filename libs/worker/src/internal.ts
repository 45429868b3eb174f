/**
 * What the other libs of nestgate need of this one. It is no part of the public surface, and changes without notice: see
 * `docs/adr/0001-internal-entry.md`.
 */
export { assertName, assertSettings, encodeBody, encodeMessage, settingsEntries } from './message/message.js';
export { BoundedLog } from './log/bounded-log.js';
export { AppStart, AppStartModule } from './node/app-start.js';
export { checkAsyncOptions, checkNoExtras, checkOptions } from './node/module-options.js';
export { checkLinkOptions, createLink, isLinkUnset, NODE_OPTIONS } from './node/node-options.js';
export { nodeExports, NodeLifecycle, nodeProviders } from './node/node.providers.js';
export { assertMoment } from './gateway/credentials.js';
export { clientErrorBody } from './topics/errors/error-mapping.js';
export { sendableError } from './topics/errors/topic-error.js';
export {
  configOf,
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  metadataOf,
} from './internals/nest.js';
export { NodeReporter } from './operate/node-reporter.js';
export { callOperation } from './http/http-api.js';
export { type HttpOperationName } from './http/http-operations.js';
export { isListeningLocally, isLocal, isOriginOf } from './http/loopback.js';
export { failure, type HttpAnswer } from './http/http-answer.js';
export { type FrameSpan, loadTelemetry, type ObservedFigure, type Telemetry } from './telemetry/telemetry.js';
