import type { AnyContract, AnyEntry, AnySchema, EntryKind } from '@nestgate/protocol';
import { entriesOf } from './entries.js';
import { type JsonSchema, jsonSchemaOf, pointerPart, type ToJsonSchema } from './json-schema.js';

/** The `info` of a document. */
export interface AsyncApiInfo {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
}

/** Options of {@link toAsyncApi}. */
export interface AsyncApiOptions {
  /** The servers of the document, as AsyncAPI has them. */
  readonly servers?: Readonly<Record<string, object>>;
  /**
   * Makes the JSON Schema of schemas that do not implement Standard JSON Schema: `toJsonSchema` of `@valibot/to-json-schema`,
   * `z.toJSONSchema` of a zod before 4.2. `undefined` leaves a schema to what it implements itself.
   */
  readonly toJsonSchema?: ToJsonSchema;
}

/** A reference within the document. */
export interface Reference {
  readonly $ref: string;
}

/** A message of a channel. */
export interface MessageObject {
  readonly name: string;
  readonly payload: JsonSchema;
}

/** A topic. */
export interface ChannelObject {
  readonly address: string;
  readonly messages: Readonly<Record<string, MessageObject>>;
}

/** What the server does on a topic. */
export interface OperationObject {
  /** `receive`: clients send it; `send`: the server does. */
  readonly action: 'send' | 'receive';
  readonly channel: Reference;
  readonly messages: readonly Reference[];
  readonly reply?: { readonly channel: Reference; readonly messages: readonly Reference[] };
  readonly 'x-nestgate-kind': EntryKind;
  readonly 'x-nestgate-errors'?: readonly string[];
}

/** An AsyncAPI 3.0 document, as an object that `JSON.stringify` writes. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: AsyncApiInfo;
  readonly defaultContentType: 'application/json';
  readonly servers?: Readonly<Record<string, object>>;
  readonly channels: Readonly<Record<string, ChannelObject>>;
  readonly operations: Readonly<Record<string, OperationObject>>;
}

/**
 * The AsyncAPI 3.0 document of contracts, from the server's point of view. Each topic is a channel with one operation: `receive` for what
 * clients send, `send` for what the server sends, with a `reply` where there is one. Payloads are the bodies of frames, not the frames
 * around them. A schema without a JSON Schema becomes a placeholder that allows anything.
 *
 * ```ts
 * const document = toAsyncApi(chat, { title: 'Chat', version: '1.0.0' });
 * ```
 */
export function toAsyncApi(
  contracts: AnyContract | readonly AnyContract[],
  info: AsyncApiInfo,
  options: AsyncApiOptions = {},
): AsyncApiDocument {
  const entries = entriesOf(isList(contracts) ? contracts : [contracts]);
  const sorted = entries.toSorted((a, b) => (a.topic < b.topic ? -1 : 1));
  const { servers, toJsonSchema } = options;
  return {
    asyncapi: '3.0.0',
    info,
    defaultContentType: 'application/json',
    ...(servers && { servers }),
    channels: Object.fromEntries(sorted.map(entry => [entry.topic, channelOf(entry, toJsonSchema)])),
    operations: Object.fromEntries(sorted.map(entry => [entry.topic, operationOf(entry)])),
  };
}

function isList(contracts: AnyContract | readonly AnyContract[]): contracts is readonly AnyContract[] {
  return Array.isArray(contracts);
}

/** The name of the message that comes back, and its schema. */
function answerOf({ kind, reply, item }: AnyEntry): readonly [name: string, schema: AnySchema | undefined] | undefined {
  if (kind === 'stream') return ['item', item];
  return kind === 'request' || kind === 'call' ? ['reply', reply] : undefined;
}

function channelOf(entry: AnyEntry, convert: ToJsonSchema | undefined): ChannelObject {
  const { topic, body } = entry;
  const message = (name: string, schema: AnySchema | undefined): MessageObject => ({
    name: `${topic} ${name}`,
    payload: jsonSchemaOf(schema, `${channelRef(topic)}/messages/${name}/payload`, convert),
  });
  const answer = answerOf(entry);
  return {
    address: topic,
    messages: { body: message('body', body), ...(answer && { [answer[0]]: message(...answer) }) },
  };
}

function operationOf(entry: AnyEntry): OperationObject {
  const { kind, topic, errors } = entry;
  const channel = { $ref: channelRef(topic) };
  const message = (name: string): Reference => ({ $ref: `${channel.$ref}/messages/${name}` });
  const answer = answerOf(entry);
  return {
    action: kind === 'push' || kind === 'call' ? 'send' : 'receive',
    channel,
    messages: [message('body')],
    ...(answer && { reply: { channel, messages: [message(answer[0])] } }),
    'x-nestgate-kind': kind,
    ...(errors.length > 0 && { 'x-nestgate-errors': [...errors].sort() }),
  };
}

function channelRef(topic: string): string {
  return `#/channels/${pointerPart(topic)}`;
}
