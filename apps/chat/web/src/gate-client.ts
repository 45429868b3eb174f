import { GateError, isRecord, readFrame, writeFrame } from './gate-frames.js';
import { mayReconnect, retryDelay } from './reconnect-policy.js';

const SUBPROTOCOL = 'gate.json';
const CONNECT_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;
const DEFAULT_HEARTBEAT_MS = 25_000;
const SHORTEST_PONG_WAIT_MS = 1_000;
const LONGEST_PONG_WAIT_MS = 8_000;
// A connection that dies sooner than this after its hello does not reset the backoff.
const STABLE_AFTER_MS = 5_000;
const NO_STATUS = 1006;

export type LinkState =
  | { kind: 'connecting' }
  | { kind: 'online' }
  /** `retryAt` is null while an attempt is under way. */
  | { kind: 'reconnecting'; attempt: number; retryAt: number | null }
  | { kind: 'offline'; code: number; reason: string };

export interface GateListener {
  onState(state: LinkState): void;
  onPush(topic: string, body: unknown): void;
}

interface Pending {
  resolve: (body: unknown) => void;
  reject: (error: GateError) => void;
  timer: number;
}

/** One `gate.json` connection that keeps itself alive: requests, pushes, heartbeat and reconnecting. */
export class GateClient {
  private socket: WebSocket | null = null;
  private state: LinkState = { kind: 'connecting' };
  private readonly pending = new Map<number, Pending>();
  private lastId = 0;
  private attempt = 0;
  private onlineSince = 0;
  private heartbeatMs = DEFAULT_HEARTBEAT_MS;
  private heardAt = 0;
  private retryTimer = 0;
  private connectTimer = 0;
  private heartbeatTimer = 0;

  constructor(
    private readonly url: string,
    private readonly listener: GateListener,
  ) {}

  get online(): boolean {
    return this.state.kind === 'online';
  }

  /** Starts over with a new connection, whatever state the old one is in. */
  connect(): void {
    const previous = this.socket;
    this.detach('The connection was started over.');
    previous?.close(1000);
    this.attempt = 0;
    this.open({ kind: 'connecting' });
  }

  /** A hint that now is a good moment to try: the network came back, or somebody looks at the page again. */
  nudge(): void {
    if (this.state.kind === 'online') this.ping();
    else if (this.state.kind === 'reconnecting' && this.state.retryAt !== null) this.retry();
  }

  request(topic: string, body?: unknown, timeoutMs = REQUEST_TIMEOUT_MS): Promise<unknown> {
    const socket = this.socket;
    if (socket === null || !this.online) {
      return Promise.reject(new GateError('OFFLINE', 'There is no connection to the server right now.'));
    }
    // Ids only ever grow, so a late reply to a request that timed out cannot be taken for another one's.
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = window.setTimeout(() => {
        this.pending.delete(id);
        reject(new GateError('TIMEOUT', 'The server did not answer in time.'));
      }, timeoutMs);
      this.pending.set(id, { resolve, reject, timer });
      socket.send(writeFrame(topic, body, id));
    });
  }

  private open(state: LinkState): void {
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.socket = socket;
    socket.addEventListener('message', event => this.receive(socket, event.data));
    socket.addEventListener('close', event => this.lost(socket, event.code, event.reason));
    // Until the hello has come the connection is worth nothing, however open it is.
    this.connectTimer = window.setTimeout(() => this.abandon(socket), CONNECT_TIMEOUT_MS);
    this.setState(state);
  }

  private retry(): void {
    window.clearTimeout(this.retryTimer);
    this.open({ kind: 'reconnecting', attempt: this.attempt, retryAt: null });
  }

  private receive(socket: WebSocket, data: unknown): void {
    if (socket !== this.socket) return;
    this.heardAt = Date.now();
    const frame = readFrame(data);
    if (frame === null) return;
    if (frame.kind === 'push') {
      if (frame.topic === '$gate/hello') this.greeted(frame.body);
      else this.listener.onPush(frame.topic, frame.body);
      return;
    }
    const pending = this.pending.get(frame.id);
    if (pending === undefined) return;
    this.pending.delete(frame.id);
    window.clearTimeout(pending.timer);
    if (frame.kind === 'failure') pending.reject(frame.error);
    else pending.resolve(frame.body);
  }

  private greeted(hello: unknown): void {
    window.clearTimeout(this.connectTimer);
    const asked = isRecord(hello) ? hello['heartbeatMs'] : undefined;
    this.heartbeatMs = typeof asked === 'number' && asked >= 1_000 ? Math.min(asked, 3_600_000) : DEFAULT_HEARTBEAT_MS;
    this.onlineSince = Date.now();
    this.scheduleHeartbeat();
    this.setState({ kind: 'online' });
  }

  private scheduleHeartbeat(): void {
    window.clearTimeout(this.heartbeatTimer);
    this.heartbeatTimer = window.setTimeout(() => this.ping(), this.heartbeatMs);
  }

  /** A server that is gone without a word leaves the socket open for minutes; only silence gives it away. */
  private ping(): void {
    const socket = this.socket;
    if (socket === null) return;
    const sentAt = Date.now();
    const patience = Math.min(LONGEST_PONG_WAIT_MS, Math.max(SHORTEST_PONG_WAIT_MS, this.heartbeatMs));
    this.scheduleHeartbeat();
    this.request('$gate/ping', undefined, patience).catch((error: unknown) => {
      const silent = this.heardAt < sentAt && error instanceof GateError && error.code === 'TIMEOUT';
      if (silent) this.abandon(socket);
    });
  }

  /** Gives a socket up without waiting for its closing handshake, which a dead server never finishes. */
  private abandon(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.lost(socket, NO_STATUS, '');
    socket.close();
  }

  private lost(socket: WebSocket, code: number, reason: string): void {
    if (socket !== this.socket) return;
    if (this.online && Date.now() - this.onlineSince >= STABLE_AFTER_MS) this.attempt = 0;
    this.detach('The connection was lost.');
    if (!mayReconnect(code)) {
      this.setState({ kind: 'offline', code, reason });
      return;
    }
    const delay = retryDelay(this.attempt, code);
    this.attempt += 1;
    this.retryTimer = window.setTimeout(() => this.retry(), delay);
    this.setState({ kind: 'reconnecting', attempt: this.attempt, retryAt: Date.now() + delay });
  }

  private detach(message: string): void {
    this.socket = null;
    window.clearTimeout(this.connectTimer);
    window.clearTimeout(this.heartbeatTimer);
    window.clearTimeout(this.retryTimer);
    const unanswered = [...this.pending.values()];
    this.pending.clear();
    for (const { timer, reject } of unanswered) {
      window.clearTimeout(timer);
      reject(new GateError('CONNECTION_LOST', message));
    }
  }

  private setState(state: LinkState): void {
    this.state = state;
    this.listener.onState(state);
  }
}
