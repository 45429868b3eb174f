import { Injectable } from '@nestjs/common';
import { isObservable, tap } from 'rxjs';
import { loadTelemetry, type Telemetry } from './telemetry.js';

/** Receives how long one call of a handler took, in seconds, and whether it has failed. Must not throw. */
export type HandlerObserver = (seconds: number, hasFailed: boolean) => void;

/** Most topics that observers tell apart; the others are `other`. */
const MAX_TOPICS = 200;
const OTHER = 'other';

/** What is used of a handler. */
export interface ObservedHandler {
  /** Runs the handler. */
  call: (payload: unknown, context: never) => unknown;
}

/**
 * Observes the handlers of this app: for metrics, and for OpenTelemetry. Without an observer the handlers are called as they are.
 */
@Injectable()
export class HandlerObservers {
  private readonly makers: ((topic: string) => HandlerObserver)[] = [];

  /**
   * Adds an observer, before the app starts to serve, in `onModuleInit` for example.
   * @param make Called once for each topic.
   */
  add(make: (topic: string) => HandlerObserver): void {
    this.makers.push(make);
  }

  /** Puts what observes around handlers, by topic. The transport calls it when it starts to serve. */
  async wrap(handlers: ReadonlyMap<string, ObservedHandler>): Promise<void> {
    const telemetry = await loadTelemetry();
    if (this.makers.length === 0 && !telemetry) return;
    let count = 0;
    for (const [topic, handler] of handlers) {
      const name = ++count > MAX_TOPICS ? OTHER : topic;
      const observers = this.makers.map(make => make(name));
      if (telemetry) observers.push(recorderOf(telemetry, name));
      observe(handler, observers, telemetry, topic);
    }
  }
}

function recorderOf(telemetry: Telemetry, topic: string): HandlerObserver {
  const [done, failed] = [false, true].map(error => ({ 'messaging.destination.name': topic, error }));
  return (seconds, hasFailed) => telemetry.recordHandler(seconds, (hasFailed ? failed : done) ?? {});
}

function observe(
  handler: ObservedHandler,
  observers: readonly HandlerObserver[],
  telemetry: Telemetry | undefined,
  topic: string,
): void {
  const call = handler.call.bind(handler);
  const timed = (payload: unknown, context: never, end?: (error?: unknown) => void): unknown => {
    const start = performance.now();
    const note = (hasFailed: boolean, error?: unknown): void => {
      const seconds = (performance.now() - start) / 1_000;
      for (const observer of observers) observer(seconds, hasFailed);
      end?.(error);
    };
    const fail = (error: unknown): void => note(true, error ?? new Error('The handler has failed'));
    let result: unknown;
    try {
      result = call(payload, context);
    } catch (error) {
      fail(error);
      throw error;
    }
    if (result instanceof Promise) result.then(() => note(false), fail);
    else if (isObservable(result)) return result.pipe(tap({ complete: () => note(false), error: fail }));
    else note(false);
    return result;
  };
  const attributes = {
    'messaging.system': 'nestgate',
    'messaging.operation': 'process',
    'messaging.destination.name': topic,
  };
  handler.call = telemetry
    ? (payload, context) =>
        telemetry.run(`${topic} process`, 'consumer', attributes, end => timed(payload, context, end))
    : (payload, context) => timed(payload, context);
}
