export {
  boundError,
  type BoundedError,
  boundErrorBody,
  MAX_ERROR_CODE,
  MAX_ERROR_DETAILS_BYTES,
  MAX_ERROR_MESSAGE,
  type TruncatedDetails,
} from './errors/bounded-error.js';
export {
  CLOSE,
  closeCodeInfo,
  type CloseCodeInfo,
  closeReason,
  isSendableCloseCode,
  keepsSession,
} from './errors/close-codes.js';
export type {
  AnyContract,
  AnyEntry,
  AnySchema,
  BodyOf,
  CallsOf,
  ClientBodyOf,
  ContractEntry,
  EntriesOf,
  EntryKind,
  EntryTypes,
  ErrorCodeOf,
  HandledKind,
  ItemOf,
  MessagesOf,
  PlainVendor,
  PushesOf,
  ReplyOf,
  RequestsOf,
  SchemaIssue,
  SchemaResult,
  StandardSchema,
  StreamsOf,
  TopicsOf,
  TypeOf,
} from './contract-entry.js';
export { defaultMessage, type ErrorBody, type ErrorCode, GateError, isErrorCode } from './errors/errors.js';
export {
  type AnswerError,
  type DecodedFrame,
  type FrameFault,
  isAnswerError,
  JsonFrameDecoder,
  MAX_JSON_DEPTH,
} from './frames/json-decoder.js';
export { isDeeperThan, isTextDeeperThan } from './frames/json-scan.js';
export { errorText, type ErrorText, logJson, logText, MAX_LOG_TEXT, urlForLog } from './log-text.js';
export { isName, MAX_NAME_BYTES, nameFault } from './names/name.js';
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
} from './frames/pack-layout.js';
export { type Body, BodyKind, BodySlice, copyBytes, JsonText, type Lease, NO_BODY, type Pack } from './frames/pack.js';
export {
  type GapNotice,
  type GapReason,
  type HelloSession,
  RESUME_VERSION,
  type ResumedNotice,
  type ResumeRefusal,
  type ResumeRefusalCode,
  resumeRefusal,
} from './resume.js';
export { formatTraceParent, newTraceSpan, parseTraceParent, type TraceSpan } from './trace-parent.js';
export {
  GATE_TOPIC_PREFIX,
  GATE_TOPICS,
  isTopic,
  MAX_TOPIC_BYTES,
  moduleOf,
  RESERVED_TOPIC_PREFIX,
} from './names/topic.js';
export { unitAt } from './text-unit.js';
