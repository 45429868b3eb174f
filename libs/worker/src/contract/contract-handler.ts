import type { AnyEntry, AnySchema, BodyOf, EntryKind, HandledKind, ItemOf, ReplyOf } from '@nestgate/protocol';
import { GateError, isTopic } from '@nestgate/protocol';
import type { Observable } from 'rxjs';

/** An entry that clients send: a request, a message or a stream. */
export type HandledEntry = AnyEntry<HandledKind>;

/** A value, at once or later. */
export type Eventually<T> = T | PromiseLike<T> | Observable<T>;

/** What the handler of an entry returns. */
export type ResultOf<E extends HandledEntry> = E['kind'] extends 'stream'
  ? Observable<ItemOf<E>> | AsyncIterable<ItemOf<E>> | PromiseLike<Observable<ItemOf<E>> | AsyncIterable<ItemOf<E>>>
  : E['kind'] extends 'message'
    ? Eventually<void>
    : Eventually<undefined extends ReplyOf<E> ? ReplyOf<E> | void : ReplyOf<E>>;

/** A method that handles an entry: its first parameter is the body. That of an entry without a body may have any parameters. */
// oxlint-disable typescript/no-explicit-any -- decorated parameters may be of any type, in any number
export type HandlerOf<E extends HandledEntry> = [BodyOf<E>] extends [undefined]
  ? (...args: any[]) => ResultOf<E>
  : (body: BodyOf<E>, ...args: any[]) => ResultOf<E>;
// oxlint-enable typescript/no-explicit-any

/** A decorator for methods that can handle the entry; on others it does not compile. */
export type EntryDecorator<E extends HandledEntry> = <M extends HandlerOf<E>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

const HANDLED: ReadonlySet<EntryKind> = new Set(['request', 'message', 'stream']);

/** Checks what `@OnTopic` was given in place of a topic. @throws {GateError} `BAD_ARGUMENT`. */
export function assertHandled(value: unknown): asserts value is HandledEntry {
  const { kind, topic } = (value ?? {}) as { kind?: EntryKind; topic?: unknown };
  if (kind === undefined || !isTopic(topic)) {
    throw new GateError('BAD_ARGUMENT', '@OnTopic needs a topic, or an entry of a contract');
  }
  if (!HANDLED.has(kind)) {
    throw new GateError(
      'BAD_ARGUMENT',
      `@OnTopic: '${topic}' is a ${kind}, which the server sends; only request, message and stream are handled`,
    );
  }
}

/** The schema to validate by; `undefined` when there is none, or when it is of `type<T>()`, which lets everything through. */
export function checkedSchema(schema: AnySchema | undefined): AnySchema | undefined {
  return schema?.['~standard'].vendor === 'nestgate' ? undefined : schema;
}
