/** Messages between the tabs of an origin. Frames of a tab are text; frames of the hub are objects, because they may contain bytes. */
export type TabMessage =
  /** A hub has started: sockets of earlier hubs are lost. */
  | { readonly hub: string }
  /** The connection of the hub is online: waiting tabs connect immediately. */
  | { readonly isUp: true }
  /** A tab opens a socket, sends a frame on it, or closes it. */
  | { readonly tab: string; readonly socket: number; readonly open: true }
  | { readonly tab: string; readonly socket: number; readonly data: string }
  | { readonly tab: string; readonly socket: number; readonly close: true }
  /** A tab is shown: the hub checks its connection. */
  | { readonly tab: string; readonly wake: true }
  /** The hub accepts a socket, sends a frame on it, or closes it. */
  | { readonly to: string; readonly socket: number; readonly accept: string }
  | { readonly to: string; readonly socket: number; readonly frame: object }
  | { readonly to: string; readonly socket: number; readonly code: number; readonly reason: string };

/** The used part of a `BroadcastChannel`. */
export interface TabChannel {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** The used part of an `AbortSignal`, for a lock. */
export interface AbortControllerLike {
  readonly signal: {
    readonly aborted: boolean;
    addEventListener(type: 'abort', listener: () => void): void;
    removeEventListener(type: 'abort', listener: () => void): void;
  };
  abort(): void;
}

/** Channels and locks that the tabs of an origin share. Tests replace them. */
export interface TabsHost {
  /** Opens the channel of this name. Its messages reach all other channels of the name, also those of the same tab. */
  channel(name: string): TabChannel;
  /** Holds the lock of this name, once it is free, until the promise that `held` returns settles. Rejects when it is aborted before. */
  lock(name: string, signal: AbortControllerLike['signal'], held: () => Promise<void>): Promise<unknown>;
  abortController(): AbortControllerLike;
  /** A unique name for this tab. */
  id(): string;
}

/** The globals of a browser that are used. */
interface HostGlobals {
  readonly BroadcastChannel?: new (name: string) => TabChannel;
  readonly AbortController: new () => AbortControllerLike;
  readonly crypto?: { randomUUID?(): string };
  readonly navigator?: {
    readonly locks?: { request(name: string, options: object, held: () => Promise<void>): Promise<unknown> };
  };
}

/** The tabs of this origin. False where the browser has no Web Locks or no channels, as on pages without https. */
export function hostTabs(host: object = globalThis): TabsHost | false {
  const { BroadcastChannel, AbortController, navigator, crypto } = host as HostGlobals;
  const locks = navigator?.locks;
  if (!locks || !BroadcastChannel || !crypto?.randomUUID) return false;
  return {
    channel: name => new BroadcastChannel(name),
    lock: (name, signal, held) => locks.request(name, { signal }, held),
    abortController: () => new AbortController(),
    id: () => crypto.randomUUID?.() ?? '',
  };
}
