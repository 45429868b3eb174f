export {
  boundError,
  type BoundedError,
  boundErrorBody,
  MAX_ERROR_CODE,
  MAX_ERROR_DETAILS_BYTES,
  MAX_ERROR_MESSAGE,
  type TruncatedDetails,
} from './bounded-error.js';
export { CLOSE, closeCodeInfo, type CloseCodeInfo, closeReason, isSendableCloseCode } from './close-codes.js';
export { defaultMessage, type ErrorBody, type ErrorCode, GateError, isErrorCode } from './errors.js';
export { type DecodedFrame, type FrameFault, JsonFrameDecoder, MAX_JSON_DEPTH } from './json-decoder.js';
export { isDeeperThan, isTextDeeperThan } from './json-scan.js';
export { errorText, type ErrorText, logJson, logText, MAX_LOG_TEXT, urlForLog } from './log-text.js';
export { isName, MAX_NAME_BYTES, nameFault } from './name.js';
export {
  FRAME_LENGTH_BYTES,
  FrameKind,
  frameKindHasId,
  MAX_PACK_BYTES,
  PACK_LENGTH_BYTES,
  PACK_TOPIC_LENGTH_BYTES,
  type PackParts,
  readPackParts,
  readU32,
  writeU32,
} from './pack-layout.js';
export { type Body, BodyKind, BodySlice, copyBytes, JsonText, NO_BODY, type Pack } from './pack.js';
export { formatTraceParent, newTraceSpan, parseTraceParent, type TraceSpan } from './trace-parent.js';
export { GATE_TOPICS, isTopic, MAX_TOPIC_BYTES, moduleOf, RESERVED_TOPIC_PREFIX } from './topic.js';
export { unitAt } from './text-unit.js';
