import { UseFilters } from '@nestjs/common';
import { EXCEPTION_FILTERS_METADATA } from '@nestjs/common/internal';
import { MessagePattern } from '@nestjs/microservices';
import { PARAM_ARGS_METADATA } from '@nestjs/microservices/constants.js';
import { RpcParamtype } from '@nestjs/microservices/enums/rpc-paramtype.enum.js';
import { GateError, isTopic } from '@nestgate/protocol';
import { GateExceptionFilter } from './gate-exception.filter.js';

/** Handlers of this transport only: other strategies of the same app do not get them. */
export const GATE_TRANSPORT_ID = Symbol('nestgate');

/** Metadata on a method that handles a topic. */
export const TOPIC_METADATA = 'nestgate:topic';

/** How a topic's handler is called. */
export interface OnTopicOptions {
  /**
   * Run this handler beside other frames of the same client, instead of one after another.
   * @defaultValue false
   */
  readonly concurrent?: boolean;
  /**
   * `'json'`: the body of a pack or frame client is parsed as UTF-8 JSON (`BAD_REQUEST` when it is none).
   * `'raw'`: it is handed on as a `Buffer`. Bodies of json clients are always the parsed value.
   * @defaultValue 'raw' when the payload parameter is declared as Buffer or Uint8Array, else 'json'
   */
  readonly payload?: 'json' | 'raw';
}

/** What {@link OnTopic} leaves on a method. */
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
 * @throws {GateError} `BAD_TOPIC` at class definition for a topic outside the grammar.
 */
export function OnTopic(topic: string, options: OnTopicOptions = {}): MethodDecorator {
  if (!isTopic(topic)) throw new GateError('BAD_TOPIC', `@OnTopic(${JSON.stringify(topic)}) is not a topic`);
  return (target, key, descriptor) => {
    const payload = options.payload ?? (takesBytes(target, key) ? 'raw' : 'json');
    const metadata: TopicMetadata = Object.freeze({ topic, ...options, payload });
    MessagePattern(topic, GATE_TRANSPORT_ID, { topic: metadata })(
      target,
      key,
      descriptor as TypedPropertyDescriptor<unknown>,
    );
    markHandler(target, descriptor.value, metadata);
  };
}

/** Leaves on a method what the explorer looks for, and gives its class the filter that keeps codes. */
export function markHandler(target: object, method: unknown, metadata: TopicMetadata): void {
  Reflect.defineMetadata(TOPIC_METADATA, metadata, method as object);
  useFilterOnce(target.constructor);
}

/** Whether the method declares its payload as bytes. Without `@Payload()` the payload is the first parameter. */
function takesBytes(target: object, key: string | symbol): boolean {
  const types = (Reflect.getMetadata('design:paramtypes', target, key) ?? []) as unknown[];
  const params = (Reflect.getMetadata(PARAM_ARGS_METADATA, target.constructor, key) ?? {}) as Record<
    string,
    { index: number }
  >;
  const payload = Object.entries(params).find(([type]) => type.startsWith(`${RpcParamtype.PAYLOAD}:`));
  const type = types[payload?.[1].index ?? 0];
  return type === Buffer || type === Uint8Array;
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
