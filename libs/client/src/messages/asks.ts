import { GateError, isGateError } from '../errors.js';

/** Answers a call of the server. */
export type AskHandler = (body: never) => unknown;

/** Calls of the server that may run at the same time. */
const MAX_RUNNING = 32;

/** Handlers of the server's calls, by topic. */
export interface Asks {
  /** @throws {GateError} `BAD_ARGUMENT` when the topic has a handler. */
  readonly handle: (topic: string, handler: AskHandler) => () => void;
  /** Runs the handler. Resolves with the fields of the answer; never rejects. */
  answer(topic: string, body: unknown): Promise<object>;
}

/** `fail` is called with errors of handlers that are no `GateError`. */
export function createAsks(fail: (error: unknown, topic: string) => void): Asks {
  const handlers = new Map<string, AskHandler>();
  let running = 0;
  return {
    handle(topic, handler) {
      if (handlers.has(topic)) throw new GateError('BAD_ARGUMENT', `The topic '${topic}' already has a handler`);
      handlers.set(topic, handler);
      return () => {
        if (handlers.get(topic) === handler) handlers.delete(topic);
      };
    },
    async answer(topic, body) {
      const handler = handlers.get(topic);
      running++;
      try {
        if (!handler) throw new GateError('NO_HANDLER');
        if (running > MAX_RUNNING) throw new GateError('LIMIT_EXCEEDED');
        return { body: (await handler(body as never)) ?? null };
      } catch (error) {
        // Any other error is a defect of the application. The server does not see it.
        const { code, message } = isGateError(error) ? error : new GateError('INTERNAL');
        if (!isGateError(error)) fail(error, topic);
        return { error: { code, message } };
      } finally {
        running--;
      }
    },
  };
}
