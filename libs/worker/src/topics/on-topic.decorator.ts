import { UseFilters } from '@nestjs/common';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import { assertKnownOptions, optionKeys } from '@nestgate/link/internal';
import { GateError, isTopic } from '@nestgate/protocol';
import {
  EXCEPTION_FILTERS_METADATA,
  PARAM_ARGS_METADATA,
  PATTERN_HANDLER_METADATA,
  PATTERN_METADATA,
  RpcParamtype,
  TRANSPORT_METADATA,
  metadataOf,
} from '../internals/nest.js';
import { assertHandled, checkedSchema, type EntryDecorator, type HandledEntry } from '../contract/contract-handler.js';
import { takePayload } from './contract/contract-pipe.js';
import { GateExceptionFilter } from './errors/gate-exception.filter.js';

/** Id of this transport, so that other strategies of the same app do not receive its handlers. */
export const GATE_TRANSPORT_ID = Symbol('nestgate');

/** Metadata on a method that handles a topic. */
export const TOPIC_METADATA = 'nestgate:topic';

/** Metadata on a method: its topics whose payload kind is a guess. */
const DOUBT_METADATA = 'nestgate:payload-doubt';

/**
 * Why it is not known whether a handler wants bytes or JSON: `untyped`, the compiler has left no types of parameters
 * (`emitDecoratorMetadata`); `open`, the type is an interface, an alias, a union or the like.
 */
export type PayloadDoubt = 'untyped' | 'open';

/** Options of a topic handler. */
export interface OnTopicOptions {
  /**
   * Runs this handler concurrently with other frames of the same client.
   * @defaultValue false
   */
  readonly concurrent?: boolean | undefined;
  /**
   * `'json'`: the body of a pack or frame client is parsed as UTF-8 JSON (`BAD_REQUEST` when it is none).
   * `'raw'`: it is handed on as a `Buffer`. Bodies of json clients are always the parsed value.
   * The type of the parameter is known only where the compiler leaves decorator metadata (`tsc` and SWC do, tsx and esbuild do
   * not), and only when it is exactly `Buffer` or `Uint8Array`: an alias or a union is not recognized. Set the option then.
   * @defaultValue 'raw' when the payload parameter is declared as Buffer or Uint8Array, else 'json'
   */
  readonly payload?: 'json' | 'raw' | undefined;
}

const KEYS = optionKeys<OnTopicOptions>({ concurrent: true, payload: true });

/** What {@link OnTopic} leaves on a method, for each topic. */
export interface TopicMetadata extends OnTopicOptions {
  readonly topic: string;
  /** The entry of a contract that it was named by. */
  readonly entry?: HandledEntry;
  /** Several methods may handle an event, each of them is called. */
  readonly isEvent?: boolean;
}

/**
 * Marks a method of a controller as the handler of a topic. It runs in the whole Nest pipeline:
 * guards, pipes, interceptors and exception filters, global ones included (with `inheritAppConfig` in a hybrid app).
 * Its return value, or the last value of an Observable or AsyncIterable, is the reply to a request. A client that asks for a stream gets
 * each value as an item.
 *
 * ```ts
 * @OnTopic('chat/say')
 * say(@Payload() body: SayDto, @ClientSession() session: Session) { … }
 * ```
 *
 * A method may handle several topics, with one `@OnTopic` and its options for each. `@OnConnect`, `@OnDisconnect`,
 * `@OnPresence`, `@MessagePattern` and `@EventPattern` belong on other methods.
 *
 * In place of a topic it takes an entry of a contract (`@nestgate/contract`). The body is then validated by the schema of the entry, after
 * the guards, and a method whose first parameter or result does not fit the entry does not compile:
 *
 * ```ts
 * @OnTopic(chat.say)
 * say(body: BodyOf<typeof chat.say>, @ClientSession() session: Session) { … }
 * ```
 *
 * @throws {GateError} `BAD_TOPIC` at class definition for a topic outside the grammar, `BAD_ARGUMENT` for unknown options, and for an
 * entry that the server sends.
 * @throws {Error} at class definition, or at start, for a method with such another decorator, and for one that handles entries whose
 * bodies have different schemas.
 */
export function OnTopic(topic: string, options?: OnTopicOptions): MethodDecorator;
export function OnTopic<E extends HandledEntry>(entry: E, options?: OnTopicOptions): EntryDecorator<E>;
export function OnTopic(named: string | HandledEntry, options: OnTopicOptions = {}): MethodDecorator {
  if (typeof named !== 'string') assertHandled(named);
  const topic = typeof named === 'string' ? named : named.topic;
  const entry = typeof named === 'string' ? undefined : named;
  if (!isTopic(topic)) throw new GateError('BAD_TOPIC', `@OnTopic(${JSON.stringify(topic)}) is not a topic`);
  assertKnownOptions(`@OnTopic(${JSON.stringify(topic)})`, options, KEYS);
  if (options.payload !== undefined && options.payload !== 'json' && options.payload !== 'raw') {
    throw new GateError('BAD_ARGUMENT', `@OnTopic(${JSON.stringify(topic)}): payload must be 'json' or 'raw'`);
  }
  return (target, key, descriptor) => {
    if (entry) takeBody(target, key, descriptor.value, entry);
    const type = options.payload === undefined ? payloadType(target, key) : undefined;
    const isBytes = type === Buffer || type === Uint8Array;
    const metadata: TopicMetadata = Object.freeze({
      topic,
      ...options,
      ...(entry && { entry, concurrent: options.concurrent ?? entry.kind === 'stream' }),
      payload: options.payload ?? (isBytes ? 'raw' : 'json'),
    });
    addHandler(target, key, descriptor, [topic], metadata);
    // The body of a contract is JSON, whatever the compiler has left of its type.
    if (!entry && (type === 'unknown' || type === Object)) {
      const doubt: PayloadDoubt = type === 'unknown' ? 'untyped' : 'open';
      Reflect.defineMetadata(
        DOUBT_METADATA,
        { ...payloadDoubts(descriptor.value as object), [topic]: doubt },
        descriptor.value as object,
      );
    }
  };
}

/**
 * Makes a method the handler of topics, beside those that it handles already. Nest keeps one list of patterns for a method, and
 * the last decorator replaces what those before it have said.
 * @throws {Error} at class definition, when the method has another decorator that would be replaced.
 */
export function addHandler(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<unknown> | PropertyDescriptor,
  topics: readonly string[],
  metadata: TopicMetadata,
): void {
  const method: unknown = descriptor.value;
  const name = `${target.constructor.name}.${String(key)}`;
  if (typeof method !== 'function') throw new Error(`${name} is no method: only methods handle topics`);
  const before = topicsOf(method);
  if (before.length === 0 && Reflect.hasMetadata(PATTERN_HANDLER_METADATA, method)) {
    throw new Error(
      `${name} handles '${metadata.topic}' and has @MessagePattern or @EventPattern too: one of them would be lost. Use two methods`,
    );
  }
  const other = before.find(({ isEvent }) => isEvent !== metadata.isEvent);
  if (other) {
    throw new Error(
      `${name} handles the messages of '${(metadata.isEvent ? other : metadata).topic}' and the events of ` +
        `'${(metadata.isEvent ? metadata : other).topic}': use two methods`,
    );
  }
  const known = metadataOf<readonly string[]>(PATTERN_METADATA, method) ?? [];
  const unlike = before.find(each => bodySchema(each) !== bodySchema(metadata));
  if (unlike) {
    throw new Error(
      `${name} handles '${unlike.topic}' and '${metadata.topic}', whose bodies have different schemas: use two methods`,
    );
  }
  const twice = topics.find(topic => known.includes(topic));
  if (twice !== undefined) throw new Error(`${name} handles '${twice}' twice`);
  const all = [...before, metadata];
  const pattern = metadata.isEvent ? EventPattern<string[]> : MessagePattern<string[]>;
  pattern([...known, ...topics], GATE_TRANSPORT_ID, { topics: all })(
    target,
    key,
    descriptor as TypedPropertyDescriptor<unknown>,
  );
  Reflect.defineMetadata(TOPIC_METADATA, Object.freeze(all), method);
  useFilterOnce(target.constructor);
}

/** Gives the payload of a method the pipe of an entry, unless another entry with this schema has given it already. */
function takeBody(target: object, key: string | symbol, method: unknown, { body }: HandledEntry): void {
  const isTaken = typeof method === 'function' && topicsOf(method).some(({ entry }) => entry?.body === body);
  if (isTaken) return;
  takePayload(target, key, `${target.constructor.name}.${String(key)}`, checkedSchema(body));
}

function bodySchema({ entry }: TopicMetadata): unknown {
  return checkedSchema(entry?.body);
}

/** What the decorators of this library have left on a method. */
export function topicsOf(method: object): readonly TopicMetadata[] {
  return metadataOf<readonly TopicMetadata[]>(TOPIC_METADATA, method) ?? [];
}

/** The topics of a method whose payload kind is a guess, and why. */
export function payloadDoubts(method: object): Readonly<Record<string, PayloadDoubt>> {
  return metadataOf<Readonly<Record<string, PayloadDoubt>>>(DOUBT_METADATA, method) ?? {};
}

/**
 * The topics of a method that Nest will never hand on: another decorator, which came after, has replaced them.
 */
export function lostTopics(method: object): readonly TopicMetadata[] {
  const topics = topicsOf(method);
  if (Reflect.getMetadata(TRANSPORT_METADATA, method) !== GATE_TRANSPORT_ID) return topics;
  const patterns = metadataOf<readonly unknown[]>(PATTERN_METADATA, method) ?? [];
  return topics.filter(({ topic }) => topic.split(', ').some(each => !patterns.includes(each)));
}

/**
 * The type that the compiler has left of the payload's parameter: without `@Payload()` the first one. `'unknown'` when it has left
 * none at all, `undefined` when there is no such parameter.
 */
function payloadType(target: object, key: string | symbol): unknown {
  const types = metadataOf<readonly unknown[]>('design:paramtypes', target, key);
  const params = metadataOf<Record<string, { index: number }>>(PARAM_ARGS_METADATA, target.constructor, key) ?? {};
  const payload = Object.entries(params).find(([type]) => type.startsWith(`${RpcParamtype.PAYLOAD}:`));
  if (!payload && Object.keys(params).length > 0) return undefined;
  if (types) return types[payload?.[1].index ?? 0];
  const method = (target as Record<string | symbol, unknown>)[key];
  return payload || (typeof method === 'function' && method.length > 0) ? 'unknown' : undefined;
}

/**
 * Method decorators run before those of their class, so this filter comes first in the class's list: the one asked last,
 * after all filters of the class and its methods.
 */
function useFilterOnce(controller: Function): void {
  const filters: unknown = Reflect.getMetadata(EXCEPTION_FILTERS_METADATA, controller);
  if (Array.isArray(filters) && filters.includes(GateExceptionFilter)) return;
  UseFilters(GateExceptionFilter)(controller);
}
