/** Why `load` is called: a session without history, or a gap in the pushes of this one. */
export type LoadReason = 'session' | 'gap';

/** Pushes that are held while a load runs, at most. */
const MAX_HELD = 1_000;

/**
 * Runs the application's `load`, and holds pushes until it settles, so that a snapshot and the pushes that follow it fit together. When a
 * gap comes while a load runs, another load follows, and the pushes are held until that has settled too. A new session does not wait for
 * the load of the session before: that load may wait for a request that is queued until the new session is loaded.
 */
export interface Loader {
  readonly isLoading: boolean;
  start(reason: LoadReason): void;
  /** Delivers a push, or holds it. */
  push(topic: string, body: unknown): void;
  /** Drops the held pushes. The result of a running load is ignored. */
  stop(): void;
}

/** Callbacks of a loader to its client. */
export interface LoaderEvents {
  /** Gives a push to its listeners. */
  readonly deliver: (topic: string, body: unknown) => void;
  readonly fail: (error: unknown) => void;
  /** This number of held pushes was dropped, because the load took too long. */
  readonly overrun: (count: number) => void;
  /** No load runs any more. */
  readonly loaded: () => void;
}

/** Without a `load` nothing is held. */
export function createLoader(
  load: ((reason: LoadReason) => unknown) | undefined,
  { deliver, fail, overrun, loaded }: LoaderEvents,
): Loader {
  let held: [topic: string, body: unknown][] = [];
  let next: LoadReason | undefined;
  /** The current load. Earlier ones are ignored. */
  let current: object | undefined;

  const run = async (): Promise<void> => {
    const own = (current = {});
    while (next) {
      const reason = next;
      next = undefined;
      try {
        await load?.(reason);
      } catch (error) {
        fail(error);
      }
      if (own !== current) return;
    }
    current = undefined;
    const before = held;
    held = [];
    // A listener may start another load, which then holds the remaining pushes.
    for (const [topic, body] of before) push(topic, body);
    if (!current) loaded();
  };
  const push = (topic: string, body: unknown): void => {
    if (!current) deliver(topic, body);
    else if (held.push([topic, body]) > MAX_HELD) {
      const { length } = held;
      held = [];
      overrun(length);
    }
  };
  return {
    get isLoading() {
      return current !== undefined;
    },
    start(reason) {
      if (!load) return;
      next = reason;
      // The snapshot of a new session includes all earlier pushes.
      if (reason === 'session') held = [];
      if (reason === 'session' || !current) void run();
    },
    push,
    stop() {
      held = [];
      current = next = undefined;
    },
  };
}
