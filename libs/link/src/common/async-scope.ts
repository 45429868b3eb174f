import { AsyncResource } from 'node:async_hooks';

/**
 * Calls application code in an async context of its own. What the code enters there with `AsyncLocalStorage.enterWith` is
 * seen by all that follows from it, and by nothing else: without it, the store would stay in the context of the socket or timer
 * in whose callback the code was called, and the code of other clients would see it.
 */
export function inAsyncScope<T>(run: () => T): T {
  return new AsyncResource('GateHook').runInAsyncScope(run);
}
