import { UseFilters } from '@nestjs/common';
import { EXCEPTION_FILTERS_METADATA } from '@nestjs/common/internal';
import { EventPattern, MessagePattern } from '@nestjs/microservices';
import {
  PARAM_ARGS_METADATA,
  PATTERN_HANDLER_METADATA,
  PATTERN_METADATA,
  TRANSPORT_METADATA,
} from '@nestjs/microservices/constants.js';
import { RpcParamtype } from '@nestjs/microservices/enums/rpc-paramtype.enum.js';
import { assertKnownOptions, optionKeys } from '@nestgate/link';
import { GateError, isTopic } from '@nestgate/protocol';
import { GateExceptionFilter } from './gate-exception.filter.js';

/** Handlers of this transport only: other strategies of the same app do not get them. */
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

/** How a topic's handler is called. */
export interface OnTopicOptions {
  /**
   * Run this handler beside other frames of the same client, instead of one after another.
   * @defaultValue false
   */
  readonly concurrent?: boolean | undefined;
  /**
   * `'json'`: the body of a pack or frame client is parsed as UTF-8 JSON (`BAD_REQUEST` when it is none).
   * `'raw'`: it is handed on as a `Buffer`. Bodies of json clients are always the parsed value.
   * The type of the parameter is known only where the compiler leaves decorator metadata (`tsc` and SWC do, tsx and esbuild do
   * not), and only when it is exactly `Buffer` or `Uint8Array`: an alias or a union is not seen. Say it here then.
   * @defaultValue 'raw' when the payload parameter is declared as Buffer or Uint8Array, else 'json'
   */
  readonly payload?: 'json' | 'raw' | undefined;
}

const KEYS = optionKeys<OnTopicOptions>({ concurrent: true, payload: true });

/** What {@link OnTopic} leaves on a method, for each topic. */
export interface TopicMetadata extends OnTopicOptions {
  readonly topic: string;
  /** Several methods may handle an event, each of them is called. */
  readonly isEvent?: boolean;
}

/**
 * Handles what clients send on a topic. The method belongs to a controller and takes part in the whole Nest pipeline:
 * guards, pipes, interceptors and exception filters, global ones included (with `inheritAppConfig` in a hybrid app).
 * Its return value, the last one of an Observable, is the reply when the client asked for one.
 *
 * ```ts
 * @OnTopic('chat/say')
 * say(@Payload() body: SayDto, @ClientSession() session: Session) { … }
 * ```
 *
 * A method may handle several topics: it has one `@OnTopic` for each, with options of its own. `@OnConnect`, `@OnDisconnect`,
 * `@OnPresence`, `@MessagePattern` and `@EventPattern` belong on other methods.
 *
 * @throws {GateError} `BAD_TOPIC` at class definition for a topic outside the grammar, `BAD_ARGUMENT` for unknown options.
 * @throws {Error} at class definition, or at start, for a method with such another decorator.
 */
export function OnTopic(topic: string, options: OnTopicOptions = {}): MethodDecorator {
  if (!isTopic(topic)) throw new GateError('BAD_TOPIC', `@OnTopic(${JSON.stringify(topic)}) is not a topic`);
  assertKnownOptions(`@OnTopic(${JSON.stringify(topic)})`, options, KEYS);
  if (options.payload !== undefined && options.payload !== 'json' && options.payload !== 'raw') {
    throw new GateError('BAD_ARGUMENT', `@OnTopic(${JSON.stringify(topic)}): payload must be 'json' or 'raw'`);
  }
  return (target, key, descriptor) => {
    const type = options.payload === undefined ? payloadType(target, key) : undefined;
    const isBytes = type === Buffer || type === Uint8Array;
    const metadata: TopicMetadata = Object.freeze({
      topic,
      ...options,
      payload: options.payload ?? (isBytes ? 'raw' : 'json'),
    });
    addHandler(target, key, descriptor, [topic], metadata);
    if (type === 'unknown' || type === Object) {
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
  const known = (Reflect.getMetadata(PATTERN_METADATA, method) ?? []) as readonly string[];
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

/** What the decorators of this library have left on a method. */
export function topicsOf(method: object): readonly TopicMetadata[] {
  return (Reflect.getMetadata(TOPIC_METADATA, method) ?? []) as readonly TopicMetadata[];
}

/** The topics of a method whose payload kind is a guess, and why. */
export function payloadDoubts(method: object): Readonly<Record<string, PayloadDoubt>> {
  return (Reflect.getMetadata(DOUBT_METADATA, method) ?? {}) as Readonly<Record<string, PayloadDoubt>>;
}

/**
 * The topics of a method that Nest will never hand on: another decorator, which came after, has replaced them.
 */
export function lostTopics(method: object): readonly TopicMetadata[] {
  const topics = topicsOf(method);
  if (Reflect.getMetadata(TRANSPORT_METADATA, method) !== GATE_TRANSPORT_ID) return topics;
  const patterns = (Reflect.getMetadata(PATTERN_METADATA, method) ?? []) as readonly unknown[];
  return topics.filter(({ topic }) => topic.split(', ').some(each => !patterns.includes(each)));
}

/**
 * The type that the compiler has left of the payload's parameter: without `@Payload()` the first one. `'unknown'` when it has left
 * none at all, `undefined` when there is no such parameter.
 */
function payloadType(target: object, key: string | symbol): unknown {
  const types = Reflect.getMetadata('design:paramtypes', target, key) as readonly unknown[] | undefined;
  const params = (Reflect.getMetadata(PARAM_ARGS_METADATA, target.constructor, key) ?? {}) as Record<
    string,
    { index: number }
  >;
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
