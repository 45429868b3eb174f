/** An event of the page or the network. */
export type PageEvent =
  /** The network came back. */
  | 'online'
  /** The network was lost. */
  | 'offline'
  /** The page became visible. */
  | 'show'
  /** The page became hidden. Browsers throttle the timers of hidden pages. */
  | 'hide'
  /** The page is frozen: nothing runs until `resume`. */
  | 'freeze'
  /** The page enters the back/forward cache. An open socket would prevent that. */
  | 'suspend'
  /** The page is active again after `freeze` or `suspend`. */
  | 'resume'
  /** The page is about to be destroyed. */
  | 'unload';

/** A handle of {@link Environment.setTimeout}. */
export type Timer = unknown;

/**
 * Clocks, timers, random numbers and page events: what a client uses of its host, besides sockets. Tests replace it. Hosts without page
 * events, such as React Native, may replace it to report when the app comes to the foreground.
 */
export interface Environment {
  /** Milliseconds of a monotonic clock. It may stand still while the machine sleeps. */
  now(): number;
  /** Milliseconds since 1970. A jump of it shows that the machine has slept. */
  wallNow(): number;
  setTimeout(callback: () => void, ms: number): Timer;
  clearTimeout(timer: Timer): void;
  /** A random number, at least 0 and below 1. */
  random(): number;
  /** False while the host knows that there is no network. */
  isOnline(): boolean;
  /** True while the page is hidden. */
  isHidden(): boolean;
  /** Reports page events until the returned function is called. */
  watch(listener: (event: PageEvent) => void): () => void;
  /** What relative URLs are resolved against. */
  readonly baseUrl?: string | undefined;
}

/** The event of `pagehide` and `pageshow`. */
interface PageTransition {
  /** The page enters or leaves the back/forward cache. */
  readonly persisted?: boolean;
}

/** The used part of an event target of the host. */
interface Target {
  addEventListener?(type: string, listener: (event: PageTransition) => void): void;
  removeEventListener?(type: string, listener: (event: PageTransition) => void): void;
}

/** The globals that are used. Those that are optional are missing in some hosts. */
export interface HostGlobals extends Target {
  readonly setTimeout: (callback: () => void, ms: number) => unknown;
  readonly clearTimeout: (timer: unknown) => void;
  readonly performance: { now(): number };
  readonly navigator?: { readonly onLine?: boolean };
  readonly document?: Target & { readonly visibilityState?: string };
  readonly location?: { readonly href: string };
}

/** The environment of a browser page, a worker or Node. */
export function hostEnvironment(host: HostGlobals = globalThis as unknown as HostGlobals): Environment {
  return {
    now: () => host.performance.now(),
    wallNow: () => Date.now(),
    setTimeout: (callback, ms) => host.setTimeout(callback, ms),
    clearTimeout: timer => host.clearTimeout(timer),
    random: Math.random,
    // Node and React Native do not report it: assume that there is a network.
    isOnline: () => host.navigator?.onLine !== false,
    isHidden: () => host.document?.visibilityState === 'hidden',
    watch: listener => watchHost(host, listener),
    baseUrl: host.location?.href,
  };
}

function watchHost(host: HostGlobals, listener: (event: PageEvent) => void): () => void {
  const { document } = host;
  const ends: (() => void)[] = [];
  const on = (
    target: Target | undefined,
    type: string,
    eventOf: (isKept: boolean | undefined) => PageEvent | false = () => type as PageEvent,
  ) => {
    const handler = ({ persisted }: PageTransition): void => {
      const event = eventOf(persisted);
      if (event) listener(event);
    };
    target?.addEventListener?.(type, handler);
    ends.push(() => target?.removeEventListener?.(type, handler));
  };
  on(host, 'online');
  on(host, 'offline');
  on(host, 'pagehide', isKept => (isKept ? 'suspend' : 'unload'));
  on(host, 'pageshow', isKept => isKept === true && 'resume');
  on(document, 'visibilitychange', () => (document?.visibilityState === 'hidden' ? 'hide' : 'show'));
  on(document, 'freeze');
  on(document, 'resume');
  return () => ends.forEach(end => end());
}
