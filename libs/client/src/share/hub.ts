import type { Environment } from '../connection/environment.js';
import { connect } from '../connect.js';
import { fieldsOf, GateError, isGateError } from '../errors.js';
import type { GateClient } from '../gate-client.js';
import { jsonCodec, type Codec } from '../messages/codec.js';
import type { ConnectOptions, GateState } from '../options.js';
import { type TabLink, TabSession } from './tab-session.js';
import type { AbortControllerLike, TabMessage, TabsHost } from './tabs-host.js';

/** Tabs send `$gate/ping` on a quiet connection. The hub then checks its own connection. */
const HEARTBEAT_MS = 25_000;
/** Deadline for requests that a tab has given up. The tab itself applies its own deadline. */
const TIMEOUT_MS = 600_000;
/** How long a call of the server may wait for a tab. The server has a deadline of its own. */
const CALL_MS = 60_000;
/** All pushes and calls are emitted under this topic. A gate cannot send it, because topics cannot contain `*`. */
const ANY = '*';

/** A tab that has a socket or a session. */
interface Tab {
  session: TabSession | undefined;
  /** Its newest socket. */
  socket: number | undefined;
  isAccepted: boolean;
  /** Streams that it reads, by id. */
  readonly streams: Map<number, AbortControllerLike>;
  /** Aborts the requests and streams of the tab. */
  readonly ended: AbortControllerLike;
}

/** A call of the server, which the first tab with a handler answers. */
interface OpenCall {
  readonly waiting: Set<Tab>;
  answer(fields: Readonly<Record<string, unknown>>): void;
  refuse(): void;
}

/** A push or call of any topic. */
interface AnyFrame {
  readonly frame: object;
  readonly size: number;
}

/** The shared connection, in one of the tabs. */
export interface Hub {
  receive(message: TabMessage): void;
  stop(): void;
}

/** Emits pushes and calls of all topics under one topic. Replies and `$gate/` frames are unchanged. */
const anyTopic: Codec = {
  ...jsonCodec,
  decode(data) {
    const frame = jsonCodec.decode(data);
    const { topic, body, id, ask } = frame ?? {};
    if (typeof topic !== 'string' || topic.startsWith('$') || typeof id === 'number') return frame;
    return { topic: ANY, body: { frame: { topic, body }, size: (data as string).length }, ask };
  },
};

/**
 * Connects to the gate, and acts as a gate for the tabs: each tab has an ordinary client with a session, whose sockets are messages of a
 * channel. Pushes go to all tabs, replies and streams to the tab that sent the request.
 */
export function startHub(
  url: string,
  options: ConnectOptions & { readonly environment: Environment },
  host: TabsHost,
  lockOf: (tab: string) => string,
  post: (message: TabMessage) => void,
): Hub {
  const { environment } = options;
  const hub = host.id();
  const tabs = new Map<string, Tab>();
  const calls = new Map<number, OpenCall>();
  let lastCall = 0;

  const upstream: GateClient = connect(url, {
    ...options,
    codec: anyTopic,
    timeoutMs: TIMEOUT_MS,
    environment: unhidden(environment),
    autoConnect: false,
    whenOffline: 'wait',
    // These options apply to each tab.
    load: undefined,
    buffer: undefined,
  });
  const linkOf = (to: string, socket: number): TabLink => ({
    send: frame => post({ to, socket, frame }),
    close: (code, reason) => post({ to, socket, code, reason }),
  });
  const eachSession = (act: (session: TabSession, tab: Tab) => boolean | void): void => {
    for (const tab of tabs.values()) {
      if (tab.session && act(tab.session, tab) === false) forget(tab, 4005, 'The tab does not read');
    }
  };
  /** Ends the session of a tab. Its next session starts with a gap. */
  const forget = (tab: Tab, code: number, reason: string): void => {
    const { session } = tab;
    tab.session = undefined;
    session?.lose(code, reason);
    for (const call of calls.values()) if (call.waiting.delete(tab) && call.waiting.size === 0) call.refuse();
  };
  const leave = (name: string): void => {
    const tab = tabs.get(name);
    if (!tab) return;
    tabs.delete(name);
    tab.ended.abort();
    forget(tab, 1001, 'closed');
    if (tabs.size === 0) upstream.close();
  };
  const enter = (name: string): Tab => {
    const tab: Tab = {
      session: undefined,
      socket: undefined,
      isAccepted: false,
      streams: new Map(),
      ended: host.abortController(),
    };
    tabs.set(name, tab);
    // A tab holds its lock until it is closed.
    host.lock(lockOf(name), tab.ended.signal, async () => leave(name)).catch(() => undefined);
    return tab;
  };

  const accept = (name: string, tab: Tab): void => {
    if (tab.socket === undefined || tab.isAccepted || upstream.state.name !== 'online') return;
    tab.isAccepted = true;
    post({ to: name, socket: tab.socket, accept: `${jsonCodec.protocol}.2` });
  };
  const greet = (name: string, tab: Tab, why?: string): void => {
    const link = linkOf(name, tab.socket ?? 0);
    if (why) link.send({ topic: '$gate/refused', body: { code: why, message: 'The session of this tab has ended' } });
    tab.session = new TabSession(upstream.clientId, () => environment.now());
    tab.session.open(link, HEARTBEAT_MS);
  };
  const deliver = (tab: Tab, session: TabSession | undefined, frame: object): void => {
    // Answers for an earlier session of the tab are dropped.
    if (!session || tab.session !== session) return;
    if (!session.deliver(frame)) forget(tab, 4005, 'The tab does not read');
  };

  /** A frame that the tab counts. */
  const handle = (tab: Tab, frame: Readonly<Record<string, unknown>>): void => {
    const { session } = tab;
    const { topic, body, id, stream, answer } = frame;
    if (!session) return;
    session.hear();
    if (typeof answer === 'number') answered(tab, answer, frame);
    else if (typeof topic !== 'string') return;
    else if (typeof id !== 'number') upstream.send(topic, body);
    else if (stream === true) void pump(tab, session, topic, body, id);
    else {
      upstream.request(topic, body, { signal: tab.ended.signal }).then(
        reply => deliver(tab, session, { id, body: reply }),
        (error: unknown) => deliver(tab, session, { id, error: errorFields(error) }),
      );
    }
  };
  const pump = async (tab: Tab, session: TabSession, topic: string, body: unknown, id: number): Promise<void> => {
    const controller = host.abortController();
    const abort = (): void => controller.abort();
    tab.ended.signal.addEventListener('abort', abort);
    tab.streams.set(id, controller);
    try {
      for await (const item of upstream.stream(topic, body, { signal: controller.signal })) {
        if (tab.session !== session) return;
        deliver(tab, session, { id, item });
      }
      deliver(tab, session, { id, end: true });
    } catch (error) {
      deliver(tab, session, { id, error: errorFields(error) });
    } finally {
      tab.streams.delete(id);
      tab.ended.signal.removeEventListener('abort', abort);
    }
  };
  const control = (name: string, tab: Tab, topic: string, body: unknown): void => {
    if (topic === 'open') greet(name, tab);
    else if (topic === 'resume') {
      const isResumed = tab.session?.resume(linkOf(name, tab.socket ?? 0), fieldsOf(body)) === true;
      if (!isResumed) greet(name, tab, 'RESUME_UNKNOWN');
    } else if (topic === 'ping') {
      tab.session?.control('pong');
      upstream.wake();
    } else if (topic === 'ack' && typeof body === 'number') tab.session?.acknowledge(body);
    else if (topic === 'cancel' && typeof body === 'number') tab.streams.get(body)?.abort();
    else if (topic === 'bye') forget(tab, 1001, 'closed');
  };

  const answered = (tab: Tab, ask: number, fields: Readonly<Record<string, unknown>>): void => {
    const call = calls.get(ask);
    if (!call?.waiting.delete(tab)) return;
    // A tab without a handler leaves the call to the others.
    if (fieldsOf(fields['error'])['code'] !== 'NO_HANDLER') call.answer(fields);
    else if (call.waiting.size === 0) call.refuse();
  };
  upstream.handle(ANY, ({ frame, size }: AnyFrame) => {
    const ask = ++lastCall;
    return new Promise<unknown>((resolve, reject) => {
      const waiting = new Set<Tab>();
      const end = (act: () => void): void => {
        calls.delete(ask);
        environment.clearTimeout(timer);
        act();
      };
      const refuse = (code = 'NO_HANDLER'): void => end(() => reject(new GateError(code)));
      const timer = environment.setTimeout(() => refuse('TIMEOUT'), CALL_MS);
      calls.set(ask, {
        waiting,
        refuse: () => refuse(),
        answer({ body: reply, error }) {
          const { code, message } = fieldsOf(error);
          end(() => (error ? reject(new GateError(String(code), String(message))) : resolve(reply)));
        },
      });
      eachSession((session, tab) => {
        waiting.add(tab);
        return session.deliver({ ...frame, ask }, size);
      });
      if (waiting.size === 0) refuse();
    });
  });
  upstream.on(ANY, ({ frame, size }: AnyFrame) => eachSession(session => session.deliver(frame, size)));
  upstream.on('gap', ({ n, why }) => eachSession(session => session.gap(n, why)));
  upstream.on('error', (error, { topic }) => {
    eachSession(session => session.control('error', { ...errorFields(error), topic }));
  });
  upstream.on('session', ({ isNew }) => {
    // The new session of the gate does not include earlier logins and groups of the tabs.
    if (isNew) for (const tab of tabs.values()) forget(tab, 4005, 'The session has ended');
  });
  upstream.on('state', (state: GateState) => {
    if (state.name === 'online') {
      for (const [name, tab] of tabs) accept(name, tab);
      post({ isUp: true });
    } else if (state.name === 'waiting' || state.name === 'ended') {
      for (const [name, tab] of tabs) {
        const { socket, session } = tab;
        const { code, reason } = state;
        // While the hub waits, sockets that were never accepted wait too.
        if (socket === undefined || (!tab.isAccepted && state.name === 'waiting')) continue;
        [tab.socket, tab.isAccepted] = [undefined, false];
        if (session) session.lose(code, reason);
        else linkOf(name, socket).close(code, reason);
      }
    }
  });
  post({ hub });

  return {
    receive(message) {
      if (!('tab' in message)) return;
      if ('wake' in message) {
        upstream.wake();
        return;
      }
      const { tab: name, socket } = message;
      if ('open' in message) {
        const tab = tabs.get(name) ?? enter(name);
        if (tab.socket === socket) return;
        [tab.socket, tab.isAccepted] = [socket, false];
        upstream.connect();
        accept(name, tab);
        return;
      }
      const tab = tabs.get(name);
      if (!tab || tab.socket !== socket) return;
      if ('close' in message) {
        [tab.socket, tab.isAccepted] = [undefined, false];
        tab.session?.lose(1000, '');
        return;
      }
      const frame = fieldsOf(jsonCodec.decode(message.data));
      const { topic } = frame;
      if (typeof topic === 'string' && topic.startsWith('$gate/')) control(name, tab, topic.slice(6), frame['body']);
      else handle(tab, frame);
    },
    stop() {
      for (const tab of tabs.values()) tab.ended.abort();
      for (const [name, { socket }] of tabs) {
        if (socket !== undefined) linkOf(name, socket).close(4005, 'Another tab takes over the connection');
      }
      tabs.clear();
      for (const call of calls.values()) call.refuse();
      upstream.close();
    },
  };
}

function errorFields(error: unknown): object {
  const { code, message, details } = isGateError(error) ? error : new GateError('INTERNAL', String(error));
  return { code, message, details };
}

/** The environment of the hub never counts as hidden, because it also serves visible tabs. A pong that arrived before a late timer still counts. */
function unhidden(environment: Environment): Environment {
  return {
    now: () => environment.now(),
    wallNow: () => environment.wallNow(),
    setTimeout: (callback, ms) => environment.setTimeout(callback, ms),
    clearTimeout: timer => environment.clearTimeout(timer),
    random: () => environment.random(),
    isOnline: () => environment.isOnline(),
    isHidden: () => false,
    watch: listener => environment.watch(event => event !== 'hide' && listener(event)),
    baseUrl: environment.baseUrl,
  };
}
