/** The names of {@link ClientEvents}. */
const EVENTS = /^(state|session|resumed|gap|error)$/;

/** The name under which the listeners of a topic are kept. A topic of one segment may be called like an event. */
export function topicKey(topic: string): string {
  return EVENTS.test(topic) ? `/${topic}` : topic;
}

/** A listener of any topic or event. */
export type Listener = (...args: never[]) => unknown;

/** Listeners by name. */
export interface Listeners {
  /** Returns a function that removes the listener. */
  readonly add: (name: string, listener: Listener) => () => void;
  readonly remove: (name: string, listener: Listener) => void;
  /** Returns false when the name has no listeners. */
  readonly emit: (name: string, ...args: readonly unknown[]) => boolean;
}

/** An error that a listener throws, or that its promise rejects with, goes to `fail`. The other listeners are called all the same. */
export function createListeners(fail: (error: unknown, name: string) => void): Listeners {
  const lists = new Map<string, readonly Listener[]>();
  const remove = (name: string, listener: Listener): void => {
    const list = [...(lists.get(name) ?? [])];
    const at = list.indexOf(listener);
    if (at < 0) return;
    list.splice(at, 1);
    if (list.length > 0) lists.set(name, list);
    else lists.delete(name);
  };
  return {
    add(name, listener) {
      // A list is replaced, never changed: an emit in progress continues with its own list.
      lists.set(name, [...(lists.get(name) ?? []), listener]);
      return () => remove(name, listener);
    },
    remove,
    emit(name, ...args) {
      const list = lists.get(name);
      for (const listener of list ?? []) {
        try {
          const result = (listener as (...args: readonly unknown[]) => unknown)(...args);
          if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
            (result as PromiseLike<unknown>).then(undefined, (error: unknown) => fail(error, name));
          }
        } catch (error) {
          fail(error, name);
        }
      }
      return list !== undefined;
    },
  };
}
