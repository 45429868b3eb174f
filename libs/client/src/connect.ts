import { createAsks } from './messages/asks.js';
import { type Failure, isFinalCode } from './connection/backoff.js';
import { type InFrame, jsonCodec, type OutFrame, type WireData } from './messages/codec.js';
import type { NoContract } from './contract-types.js';
import { hostEnvironment, type PageEvent, type Timer } from './connection/environment.js';
import { asError, errorOf, fieldsOf, GateError, isGateError, textOf } from './errors.js';
import type { GateClient } from './gate-client.js';
import { createHeartbeat, type Heartbeat } from './connection/heartbeat.js';
import { createListeners, topicKey } from './messages/listeners.js';
import { createLoader } from './messages/loader.js';
import type {
  ClientEvents,
  ConnectOptions,
  ErrorContext,
  GateState,
  MessagesOptions,
  SendOptions,
  SessionState,
} from './options.js';
import { createOutbox } from './messages/outbox.js';
import { openPushLoop } from './messages/push-loop.js';
import { createRequests } from './messages/requests.js';
import { createRetries } from './connection/retries.js';
import { createSession, isCount, type Session } from './session/session.js';
import { openSocket, type Socket, type WebSocketConstructor } from './connection/socket.js';
import { newStats } from './stats.js';
import { createTokens } from './session/tokens.js';
import { gateUrl } from './connection/url.js';

/** After a connection of this length the next retries are quick again. */
const STABLE_MS = 5_000;
const LONGEST_HEARTBEAT_MS = 3_600_000;
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/**
 * Connects to a gate, and reconnects when the connection is lost.
 *
 * ```ts
 * const gate = connect<typeof chat>('wss://example.com/gate', { token: () => fetchToken() });
 * gate.on('chat/said', ({ from, text }) => show(from, text));
 * const { delivered } = await gate.request('chat/say', { room, text });
 * ```
 *
 * @throws {GateError} `BAD_ARGUMENT` for a URL or options that cannot be used.
 */
export function connect<C = NoContract>(url: string, options: ConnectOptions = {}): GateClient<C> {
  // A closure and no class: names of variables are short in a bundle, those of properties are not.
  const {
    environment = hostEnvironment(),
    WebSocket = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
    codec = jsonCodec,
    timeoutMs: defaultTimeoutMs = 30_000,
    renewTopic = 'auth/refresh',
    persist,
  } = options;
  if (!WebSocket) throw new GateError('BAD_ARGUMENT', 'No global WebSocket: pass the class of ws');
  const gateAddress = gateUrl(url, environment.baseUrl);
  const stats = newStats();

  let state: GateState = { name: 'idle' };
  let sessionState: SessionState = 'none';
  let clientId = '';
  /** The socket of the connection, or of the current attempt. */
  let socket: Socket | undefined;
  /** The socket that is to replace it, while the session moves to another gate. */
  let successor: Socket | undefined;
  /** From the moment at which the successor resumes, nothing is written: the old gate may have closed the session already. */
  let isMoving = false;
  /** Changes when an attempt or a connection ends. Asynchronous code compares it to find out whether it is still current. */
  let run = 0;
  /** Changes with each new session. */
  let epoch = 0;
  let session: Session | undefined;
  let heartbeat: Heartbeat | undefined;
  let heartbeatMs = 25_000;
  let deadline: Timer;
  let onlineAt = 0;
  let wasOnline = false;
  /** Refused tokens in a row. */
  let refusals = 0;
  /** Why a resume was refused: the `why` of the session that follows. */
  let refusal: string | undefined;
  let unwatch: (() => void) | undefined;

  /** Reports an error that no caller receives. */
  const report = (error: unknown, source: ErrorContext['source'], topic?: string): void => {
    stats.errors++;
    const isHeard = topic !== 'error' && listeners.emit('error', asError(error), { source, topic });
    if (!isHeard) (globalThis as { console?: { error(...args: unknown[]): void } }).console?.error(error);
  };
  const listeners = createListeners((error, topic) => report(error, 'listener', topic));
  const emit: <E extends keyof ClientEvents>(event: E, ...args: Parameters<ClientEvents[E]>) => unknown =
    listeners.emit;
  const setState = (next: GateState): void => {
    state = next;
    emit('state', next);
  };
  const is = (name: GateState['name']): boolean => state.name === name;
  const isOver = (): boolean => is('idle') || is('ended');

  const outbox = createOutbox({ frames: 256, bytes: 262_144, ...options.buffer }, frame => {
    if (!socket || !is('online') || isMoving || (session && !outbox.log(frame))) return false;
    requests.sent(frame.id);
    put(socket, frame.data);
    return true;
  });
  const asks = createAsks((error, topic) => report(error, 'handler', topic));
  const tokens =
    options.token &&
    createTokens(environment, options.token, {
      renew: async token =>
        fieldsOf(await requests.request(renewTopic as string, { token }, { whenOffline: 'fail' }))['expiresAt'],
      fail: error => report(error, 'renew'),
      none: () => end(401, 'There is no token'),
    });
  const loader = createLoader(options.load, {
    deliver(topic, body) {
      if (!listeners.emit(topicKey(topic), body)) stats.unheardPushes++;
    },
    fail: error => report(error, 'load'),
    overrun(n) {
      stats.dropped += n;
      gap(n, 'held');
    },
    loaded: () => setUp(),
  });

  // What the application sends.

  const encode = (frame: OutFrame): WireData => {
    if (frame.topic?.startsWith('$')) throw new GateError('BAD_TOPIC');
    try {
      return codec.encode(frame);
    } catch (error) {
      throw isGateError(error) ? error : new GateError('BAD_ARGUMENT', asError(error).message);
    }
  };
  const put = (to: Socket, data: WireData): void => {
    stats.framesOut++;
    to.send(data);
  };
  /** Sends a `$gate/` frame. These are not counted, and not sent again. */
  const control = (topic: string, body?: unknown, to = socket): void => {
    if (to) put(to, codec.encode({ topic: `$gate/${topic}`, body }));
  };
  const whyOffline = (): string =>
    state.name === 'ended' ? `The client has ended: ${state.code} ${state.reason}` : 'The client is not connected';
  /** Writes a frame, or queues it. */
  const post = (
    frame: OutFrame,
    { whenOffline = options.whenOffline, timeoutMs = defaultTimeoutMs }: SendOptions,
  ): void => {
    const { topic = '', id = 0 } = frame;
    const data = encode(frame);
    if (isOver() || (whenOffline === 'fail' && !is('online'))) throw new GateError('OFFLINE', whyOffline());
    heartbeat?.check();
    const now = environment.now();
    const isRoom = !is('online') || socket?.isWritable !== false;
    if (!isRoom || !outbox.submit({ data, topic, id, expiresAt: now + timeoutMs }, now))
      throw new GateError('BUFFER_FULL', 'The queue is full');
  };
  const requests = createRequests(environment, defaultTimeoutMs, {
    post,
    withdraw: outbox.withdraw,
    cancel: id => control('cancel', id),
  });
  const flush = (): void => {
    stats.dropped += outbox.flush(environment.now());
  };

  // Connecting.

  const retries = createRetries(environment, () => void open());
  const dial = (address: string, token: string | undefined): Socket => {
    const { protocol } = codec;
    const protocols = options.resume === false ? [protocol] : [`${protocol}.2`, protocol];
    if (token && options.tokenIn === 'query') {
      address += `${address.includes('?') ? '&' : '?'}token=${encodeURIComponent(token)}`;
    } else if (token) protocols.push(`bearer.${token}`);
    stats.attempts++;
    return openSocket(WebSocket, address, protocols, options.socketOptions, {
      open: opened,
      message: receive,
      close: closed,
    });
  };
  const open = async (): Promise<void> => {
    const current = ++run;
    setState({ name: 'connecting', attempt: retries.attempt });
    if (current !== run) return;
    const limit = (): void => arm(options.connectTimeoutMs ?? 10_000, 'connect timeout');
    try {
      limit();
      const token = tokens && (await tokens.get());
      if (current !== run) return;
      if (tokens && !token) throw new GateError('UNAUTHORIZED', 'There is no token');
      limit();
      socket = dial(gateAddress, token);
    } catch (error) {
      if (current !== run) return;
      const { message } = asError(error);
      // A wrong argument stays wrong. But `token` may have failed because there is no network.
      if (isGateError(error, 'BAD_ARGUMENT')) end(400, message);
      else if (isGateError(error, 'UNAUTHORIZED')) end(401, message);
      else {
        report(error, 'token');
        lost({ code: 1006, reason: message });
      }
    }
  };
  /** Ends an attempt that takes longer than this. */
  const arm = (ms: number, reason: string): void => {
    environment.clearTimeout(deadline);
    deadline = environment.setTimeout(() => {
      const late = successor ?? socket;
      late?.destroy();
      closed(late, { code: 1006, reason });
    }, ms);
  };
  const isResumable = ({ protocol }: Socket): boolean => protocol === `${codec.protocol}.2`;
  const opened = (from: Socket): void => {
    if (from === socket) {
      arm(options.greetingTimeoutMs ?? 10_000, 'hello timeout');
      setState({ name: 'greeting', attempt: retries.attempt });
    } else isMoving = true;
    if ((from !== socket && from !== successor) || !isResumable(from)) return;
    if (!session) control('open', { v: 2, keep: true }, from);
    else {
      const { id, ticket, seen } = session;
      control('resume', { v: 2, session: id, ticket, seen, sent: outbox.sent }, from);
    }
  };

  // What comes from the gate.

  const receive = (from: Socket, data: unknown): void => {
    stats.framesIn++;
    if (from === socket) heartbeat?.heard();
    const isLarge = sizeOf(data) > (options.maxFrameBytes ?? MAX_FRAME_BYTES);
    const frame = isLarge ? {} : codec.decode(data);
    const topic = frame?.topic;
    if (typeof topic === 'string' && topic.startsWith('$gate/')) {
      if (!controlled(from, topic.slice(6), frame?.body)) stats.unknownControl++;
    } else if (!frame || from !== socket) stats.badFrames++;
    else if (isCounted()) {
      if (isLarge) {
        stats.largeFrames++;
        report(new GateError('PAYLOAD_TOO_LARGE'), 'frame');
      } else received(frame);
    }
  };
  /** Counts a frame in the session. Returns false for a frame that an earlier connection has delivered. */
  const isCounted = (): boolean => {
    if (session?.count() !== false) return true;
    stats.repeated++;
    return false;
  };
  const received = (frame: InFrame): void => {
    const { id, ask, topic, body } = frame;
    if (typeof id === 'number') {
      if (isRateLimited(frame.error)) outbox.uncount(id, undefined);
      if (!requests.settle(id, frame)) stats.unknownReplies++;
    } else if (typeof topic !== 'string') stats.badFrames++;
    else if (typeof ask === 'number') void answer(ask, topic, body);
    else loader.push(topic, body);
  };
  const answer = async (ask: number, topic: string, body: unknown): Promise<void> => {
    const current = epoch;
    const fields = await asks.answer(topic, body);
    // In another session the call does not exist.
    if (current !== epoch) return;
    try {
      post({ answer: ask, ...fields }, { whenOffline: 'wait' });
    } catch (error) {
      report(error, 'handler', topic);
    }
  };
  /** Handles a `$gate/` frame. Returns false for one that is unknown or not expected in this state. */
  const controlled = (from: Socket, topic: string, body: unknown): boolean => {
    const fields = fieldsOf(body);
    if (topic === 'pong') return true;
    if (topic === 'error') {
      const about = textOf(fields['topic']);
      if (isRateLimited(body)) outbox.uncount(0, about);
      report(errorOf(body), 'gate', about);
      return true;
    }
    if (from !== socket || !is('online')) {
      if (topic === 'hello') return hello(from, fields);
      if (topic === 'resumed') return resumed(from, fields);
      return topic === 'refused' && refused(fields);
    }
    if (!session) return false;
    if (topic === 'ack') {
      if (!isCount(body) || !outbox.acknowledge(body)) return false;
      flush();
    } else if (topic === 'gap') {
      const { n, why } = fields;
      session.gap(fields['from'], n);
      gap(isCount(n) ? n : null, textOf(why) ?? 'unknown');
    } else if (topic === 'mark' && isCount(body)) checkCount(session.excess(body));
    else if (topic === 'move') void move(fields);
    else return false;
    return true;
  };
  /** Client and gate may have counted differently. A resume delivers missing frames. With too many, the session cannot continue. */
  const checkCount = (excess: number): void => {
    if (excess === 0) return;
    stats.countMismatches++;
    if (excess > 0) dropSession();
    socket?.close();
    lost({ code: 1005, reason: 'count mismatch' });
  };
  /** A new session. */
  const hello = (from: Socket, fields: Readonly<Record<string, unknown>>): boolean => {
    const { clientId: id, heartbeatMs: interval, session: terms } = fields;
    if (typeof id !== 'string' || id === '') return false;
    const why = refusal ?? (wasOnline ? 'reconnected' : 'first');
    if (session) dropSession();
    if (isResumable(from)) session = createSession(environment, id, fieldsOf(terms), sendAck, skip);
    epoch++;
    outbox.isHeld = true;
    if (typeof interval === 'number' && interval >= 1_000) heartbeatMs = Math.min(interval, LONGEST_HEARTBEAT_MS);
    const current = run;
    establish(from, id);
    if (current === run) emit('session', { clientId, isNew: true, why });
    if (why !== 'first' && current === run) gap(null, why, false);
    if (current !== run) return true;
    loader.start('session');
    if (!loader.isLoading) setUp();
    return true;
  };
  const sendAck = (seen: number): void => control('ack', seen);
  const skip = (n: number): void => gap(n, 'unknown');
  /** The session continues on this socket. */
  const resumed = (from: Socket, fields: Readonly<Record<string, unknown>>): boolean => {
    const { ticket, from: first, heard, awayMs, replay } = fields;
    if (!session || typeof ticket !== 'string' || !isCount(first) || !first || !isCount(heard)) return false;
    stats.resumes++;
    if (!outbox.acknowledge(heard)) {
      // After a reload of the page, frames that the gate has not received are lost.
      stats.countMismatches += heard > outbox.sent ? 1 : 0;
      loseCalls();
      outbox.reset(heard);
    }
    replace(from);
    session.resumed(ticket, first);
    const resent = outbox.unacked.length;
    stats.resent += resent;
    // A copy: with a socket of a test, an acknowledgement may come at once.
    for (const { data } of outbox.unacked.slice()) put(from, data);
    const current = run;
    establish(from, session.id);
    if (current === run) emit('session', { clientId, isNew: false, why: 'resumed' });
    if (current !== run) return true;
    emit('resumed', { awayMs: isCount(awayMs) ? awayMs : 0, replayed: isCount(replay) ? replay : null, resent });
    flush();
    return true;
  };
  const refused = ({ code, message, closeCode }: Readonly<Record<string, unknown>>): boolean => {
    // After `RESUME_BUSY` the gate closes the connection, and the ticket stays valid. After a session whose credentials have expired, the
    // gate starts a new one with the token of this connection.
    if (code === 'RESUME_CLOSED' && !(tokens && closeCode === 1008))
      end(isCount(closeCode) ? closeCode : 4002, textOf(message) ?? '');
    else if (code !== 'RESUME_BUSY') refusal = String(code);
    return true;
  };
  /** Makes this the socket of the connection. The older one is detached and closed. */
  const replace = (by: Socket): void => {
    const older = socket;
    socket = by;
    successor = undefined;
    isMoving = false;
    if (older !== by) older?.close();
  };
  /** The client is online with this socket. */
  const establish = (by: Socket, id: string): void => {
    replace(by);
    environment.clearTimeout(deadline);
    heartbeat?.stop();
    heartbeat = createHeartbeat(
      environment,
      heartbeatMs,
      () => control('ping'),
      () => {
        stats.pingTimeouts++;
        socket?.destroy();
        lost({ code: 1006, reason: 'no pong' });
      },
    );
    stats.connections++;
    refusal = undefined;
    clientId = id;
    onlineAt = environment.now();
    wasOnline = true;
    sessionState = 'live';
    if (renewTopic !== false) tokens?.start();
    if (!is('online')) setState({ name: 'online' });
  };
  /** The new session is set up: frames that were queued before may be sent. */
  const setUp = (): void => {
    outbox.isHeld = false;
    flush();
  };
  const gap = (n: number | null, why: string, isLoaded = true): void => {
    stats.gaps++;
    emit('gap', { n, why });
    if (isLoaded) loader.start('gap');
  };

  // Losing and ending connections.

  const closed = (from: Socket | undefined, failure: Failure): void => {
    if (!successor || (from !== successor && isFinalCode(failure.code))) lost(failure);
    else if (from === successor) {
      environment.clearTimeout(deadline);
      successor = undefined;
      isMoving = false;
      // The old socket may be closed already.
      if (!socket) lost(failure);
      else flush();
    } else {
      // The old gate has released the session; the successor is about to resume it.
      socket = undefined;
      heartbeat?.stop();
    }
  };
  /** The connection or the attempt has ended. Schedules the next attempt, unless the failure is final. */
  const lost = (failure: Failure): void => {
    const { code, reason, status } = failure;
    const isRefused = is('connecting');
    if (is('online') && environment.now() - onlineAt >= STABLE_MS) retries.attempt = refusals = 0;
    release();
    const isExpired = tokens && code === 1008 && reason.includes('auth expired');
    if (isExpired || status === 401 || status === 403) {
      tokens?.drop(isExpired ? 'expired' : 'refused');
      if (++refusals > 1) {
        end(status ?? code, reason);
        return;
      }
      // The gate has ended the session too.
      if (isExpired) dropSession();
    } else if (isFinalCode(code) || options.finalCodes?.includes(code)) {
      end(code, reason);
      return;
      // A browser does not report why an upgrade was refused: the token may be the cause.
    } else if (isRefused) tokens?.drop('connect');
    if (!session) loseCalls();
    if (wasOnline) sessionState = session ? 'away' : 'lost';
    wait(retries.after(failure), failure);
  };
  const wait = (retryAt: number | null, { code, reason }: Pick<Failure, 'code' | 'reason'>): void =>
    setState({ name: 'waiting', attempt: retries.attempt, retryAt, code, reason });
  /** Checks the connection; while waiting, tries again after this time. */
  const hurry = (delayMs: number): void => {
    if (state.name === 'waiting') wait(retries.within(delayMs), state);
    else heartbeat?.probe();
  };
  const end = (code: number, reason: string): void => finish({ name: 'ended', code, reason });
  const finish = (last: GateState, closeCode?: number): void => {
    const open = socket;
    release();
    open?.close(closeCode);
    retries.stop();
    unwatch?.();
    unwatch = session = undefined;
    epoch++;
    sessionState = last.name === 'ended' && wasOnline ? 'lost' : 'none';
    wasOnline = false;
    loader.stop();
    outbox.reset();
    stats.dropped += outbox.waiting.splice(0).length;
    state = last;
    requests.fail(whyOffline(), true);
    emit('state', last);
  };
  /** Releases sockets and timers. */
  const release = (): void => {
    run++;
    environment.clearTimeout(deadline);
    successor?.close();
    socket = successor = undefined;
    isMoving = outbox.isHeld = false;
    heartbeat?.stop();
    heartbeat = undefined;
    session?.pause();
    tokens?.stop();
  };
  /** The session has ended. Requests that were sent in it may have been handled. */
  const dropSession = (): void => {
    session?.pause();
    session = undefined;
    loseCalls();
    outbox.reset();
  };
  const loseCalls = (): void => requests.fail('Sent, and may have been handled');

  // Moving, renewing, and the page.

  /** The gate asks the client to go elsewhere: a second socket resumes the session before the first is closed. */
  const move = async ({ withinMs, to }: Readonly<Record<string, unknown>>): Promise<void> => {
    const current = run;
    try {
      const address = typeof to === 'string' ? gateUrl(to, gateAddress) : gateAddress;
      const token = tokens && (await tokens.get());
      // An encrypted session stays encrypted.
      const isWorse = address.startsWith('ws:') && !gateAddress.startsWith('ws:');
      if (current !== run || successor || isWorse || (tokens && !token)) return;
      successor = dial(address, token);
      arm(Math.min(isCount(withinMs) ? withinMs : Infinity, 10_000), 'move timeout');
    } catch (error) {
      // The gate closes the connection with 4005 later, and the client resumes then.
      report(error, 'token');
    }
  };
  const page = (event: PageEvent): void => {
    if (event === 'freeze') retries.isFrozen = true;
    if (event === 'resume') {
      retries.isFrozen = false;
      // The page is active again: no other page may use what was saved.
      persist?.load();
    }
    if (event === 'online') retries.attempt = 0;
    if (event === 'suspend' || event === 'unload') leave(event === 'unload');
    // The timer of a pong would be late.
    else if (event === 'hide' || (retries.isFrozen && is('online'))) heartbeat?.hide();
    // All clients in an office get the network back at the same moment.
    else hurry(event === 'online' ? environment.random() * 500 : 0);
  };
  /** The page is destroyed, or enters the back/forward cache. */
  const leave = (isForGood: boolean): void => {
    retries.isFrozen = true;
    if (session) {
      const { id, ticket, seen, keepMs } = session;
      if (persist) persist.save({ session: id, ticket, seen, sent: outbox.sent, lastId: requests.lastId, keepMs });
      else if (isForGood) control('bye');
    }
    // Without a code: the gate keeps the session.
    socket?.close();
    if (!is('waiting')) lost({ code: 1005, reason: 'page left' });
  };

  const client = {
    stats,
    get state() {
      return state;
    },
    get session() {
      return sessionState;
    },
    get clientId() {
      return clientId;
    },
    get queued() {
      return outbox.waiting.length;
    },
    connect() {
      if (!isOver()) return;
      refusals = 0;
      retries.reset();
      unwatch ??= environment.watch(page);
      void open();
    },
    close() {
      if (is('idle')) return;
      if (session && is('online')) control('bye');
      finish({ name: 'idle' }, 1000);
    },
    wake: () => hurry(0),
    on: listeners.add,
    off: listeners.remove,
    request: requests.request,
    send(topic: string, body?: unknown, sendOptions: SendOptions = {}) {
      try {
        post({ topic, body }, sendOptions);
        return true;
      } catch (error) {
        // The others are mistakes of the caller.
        if (!isGateError(error, 'OFFLINE') && !isGateError(error, 'BUFFER_FULL')) throw error;
        stats.dropped++;
        report(error, 'send', topic);
        return false;
      }
    },
    messages: (topic: string, loopOptions: MessagesOptions = {}) =>
      openPushLoop(listeners, topicKey(topic), loopOptions, isOver),
    stream: requests.stream,
    handle: asks.handle,
  };

  const saved = persist?.load();
  session = saved && createSession(environment, saved.session, { ...saved }, sendAck, skip);
  if (saved && session) {
    outbox.reset(saved.sent);
    requests.lastId = saved.lastId;
    wasOnline = true;
    sessionState = 'away';
  }
  if (options.autoConnect !== false) client.connect();
  return client as unknown as GateClient<C>;
}

function isRateLimited(error: unknown): boolean {
  return fieldsOf(error)['code'] === 'RATE_LIMITED';
}

function sizeOf(data: unknown): number {
  const { length, byteLength } = fieldsOf(data);
  return Number(length ?? byteLength ?? 0);
}
