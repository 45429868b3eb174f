export {
  type AsyncApiDocument,
  type AsyncApiInfo,
  type AsyncApiOptions,
  type ChannelObject,
  type MessageObject,
  type OperationObject,
  type Reference,
  toAsyncApi,
} from './asyncapi-document.js';
export { compareContracts, type ContractChange, type ContractChangeCode } from './contract-changes.js';
export { type JsonSchema, type ToJsonSchema } from './json-schema.js';
