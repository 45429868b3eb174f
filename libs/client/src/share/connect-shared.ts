import { connect } from '../connect.js';
import { hostEnvironment } from '../connection/environment.js';
import { gateUrl } from '../connection/url.js';
import type { NoContract } from '../contract-types.js';
import { GateError } from '../errors.js';
import type { GateClient } from '../gate-client.js';
import { type Codec, jsonCodec } from '../messages/codec.js';
import type { ConnectOptions } from '../options.js';
import { type Hub, startHub } from './hub.js';
import { createTabSockets } from './tab-socket.js';
import { type AbortControllerLike, hostTabs, type TabChannel, type TabMessage, type TabsHost } from './tabs-host.js';

// Channels have no origin to name. A channel of a test has one listener.
/* oxlint-disable unicorn/require-post-message-target-origin, unicorn/prefer-add-event-listener */

/** HTTP statuses and argument errors that end the shared connection also end the clients of the tabs. */
const ENDS = [400, 401, 403];

/** Options of {@link connectShared}. */
export interface ShareOptions extends Omit<ConnectOptions, 'codec' | 'persist'> {
  /**
   * Tabs with the same name share a connection. Use a name for each user where tabs of one browser may have different users.
   * @defaultValue the URL of the gate
   */
  readonly name?: string | undefined;
  /**
   * Channels and locks of the tabs, for tests. `false`: the tab has its own connection.
   * @defaultValue those of the browser; without them each tab has its own connection
   */
  readonly tabs?: TabsHost | false | undefined;
}

/** Frames of the hub are objects already. */
const tabCodec: Codec = { ...jsonCodec, decode: data => data as object };

/**
 * Connects like `connect`. All tabs of an origin use one connection, which one of them holds. When that tab is closed, another one connects,
 * and the others start new sessions. Needs Web Locks and `BroadcastChannel`; without them it is `connect`.
 *
 * ```ts
 * const gate = connectShared<typeof chat>('/gate', { token: () => fetchToken() });
 * ```
 *
 * @throws {GateError} `BAD_ARGUMENT` as `connect` does, and for `codec` and `persist`, which cannot be used here.
 */
export function connectShared<C = NoContract>(url: string, options: ShareOptions = {}): GateClient<C> {
  const { name: given, tabs: host = hostTabs(), ...rest } = options;
  const { codec, persist } = rest as ConnectOptions;
  if (codec || persist) throw new GateError('BAD_ARGUMENT', 'A shared connection takes no codec and no persist');
  if (!host) return connect<C>(url, rest);
  const { environment = hostEnvironment(), load, buffer, whenOffline, autoConnect, timeoutMs, finalCodes = [] } = rest;
  const name = `nestgate:${given ?? gateUrl(url, environment.baseUrl)}`;
  const tab = host.id();
  const lockOf = (of: string): string => `${name}/${of}`;

  let left: AbortControllerLike | undefined;
  let channel: TabChannel | undefined;
  let unwatch: (() => void) | undefined;
  let isIn = false;
  /** Messages from before the lock of this tab was held. */
  let early: TabMessage[] = [];
  const post = (message: TabMessage): void => {
    if (isIn) channel?.postMessage(message);
    else early.push(message);
  };
  const sockets = createTabSockets(tab, () => join(), post);

  const join = (): void => {
    if (left) return;
    const leaving = (left = host.abortController());
    const gone = new Promise<void>(resolve => leaving.signal.addEventListener('abort', resolve));
    const own = (channel = host.channel(name));
    own.onmessage = ({ data }) => {
      sockets.receive(data as TabMessage);
      const isNews = 'hub' in (data as TabMessage) || 'isUp' in (data as TabMessage);
      if (isNews && client.state.name === 'waiting') client.wake();
    };
    unwatch = environment.watch(event => {
      if (event === 'show') post({ tab, wake: true });
    });
    const lock = (of: string, held: () => Promise<void>): void => {
      host.lock(of, leaving.signal, held).catch(() => undefined);
    };
    lock(lockOf(tab), () => {
      if (left === leaving) {
        isIn = true;
        for (const message of early.splice(0)) own.postMessage(message);
      }
      return gone;
    });
    // The tab that gets this lock holds the connection.
    lock(name, async () => {
      if (leaving.signal.aborted) return;
      const hubChannel = host.channel(name);
      const hub: Hub = startHub(url, { ...rest, environment }, host, lockOf, message =>
        hubChannel.postMessage(message),
      );
      hubChannel.onmessage = ({ data }) => hub.receive(data as TabMessage);
      await gone;
      hub.stop();
      hubChannel.close();
    });
  };
  const leave = (): void => {
    left?.abort();
    unwatch?.();
    channel?.close();
    left = channel = unwatch = undefined;
    [isIn, early] = [false, []];
  };

  const client = connect<C>(url, {
    environment,
    load,
    buffer,
    whenOffline,
    timeoutMs,
    autoConnect: false,
    codec: tabCodec,
    WebSocket: sockets.WebSocket,
    finalCodes: [...finalCodes, ...ENDS],
  });
  client.on('state', ({ name: state }) => {
    if (state === 'idle' || state === 'ended') leave();
  });
  if (autoConnect !== false) client.connect();
  return client;
}
