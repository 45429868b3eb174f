import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { TopicContext } from './topic-context.js';

/** What {@link AbortSignal} gives a parameter. Named, so that it is known where no execution context is needed for it. */
export function signalOf(_data: unknown, context: ExecutionContext): globalThis.AbortSignal {
  return context.switchToRpc().getContext<TopicContext>().signal;
}

/**
 * A signal for the work of a handler: it is aborted when nobody waits for the result any more. The client has cancelled the stream, or is
 * gone; its gate is lost; the deadline has passed; or the worker shuts down.
 *
 * ```ts
 * @OnTopic(ai.ask)
 * ask(body: BodyOf<typeof ai.ask>, @AbortSignal() signal: AbortSignal) {
 *   return this.model.stream(body.prompt, { signal });
 * }
 * ```
 */
export const AbortSignal: () => ParameterDecorator = createParamDecorator(signalOf);
/** So that the name of the decorator is also that of the type. */
export type AbortSignal = globalThis.AbortSignal;
