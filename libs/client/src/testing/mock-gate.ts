import { connect } from '../connect.js';
import type { Arguments, BodyOf, NoContract, ReplyOf, TopicOf } from '../contract-types.js';
import { errorOf, GateError, isGateError } from '../errors.js';
import type { GateClient } from '../gate-client.js';
import type { ConnectOptions } from '../options.js';
import type { WebSocketConstructor } from '../connection/socket.js';
import { type MockFrame, MockSocket } from './mock-socket.js';

/** Options of {@link MockGate}. */
export interface MockGateOptions {
  /**
   * Whether sessions survive a lost connection.
   * @defaultValue true
   */
  readonly resume?: boolean;
  /** @defaultValue 25_000 */
  readonly heartbeatMs?: number;
}

/** Answers a request, message or stream of the client. */
export type MockHandler = (body: never) => unknown;

/** A session of the mock, with the frames that the client has not acknowledged. */
interface MockSession {
  readonly id: string;
  ticket: string;
  /** Number of frames queued for the client, and number of the first one that is kept. */
  top: number;
  floor: number;
  log: string[];
  /** Frames accepted from the client. */
  heard: number;
  lostAt: number;
}

/**
 * A gate without a network, for tests of front ends: a real client talks to it, over sockets that are objects.
 *
 * ```ts
 * const mock = new MockGate<typeof chat>();
 * mock.on('chat/say', ({ text }) => ({ delivered: text.length }));
 * const gate = mock.connect();
 * await mock.push('chat/said', { room: 'lobby', from: 'ada', text: 'hi' });
 * ```
 *
 * Frames arrive a microtask after they were sent, in order.
 */
export class MockGate<C = NoContract> {
  /** The class for the option `WebSocket` of a client. */
  readonly WebSocket: WebSocketConstructor;
  /** Received requests, messages and streams, in order. */
  readonly received: MockFrame[] = [];
  private readonly handlers = new Map<string, MockHandler>();
  private readonly sockets = new Set<MockSocket>();
  private socket: MockSocket | undefined;
  private session: MockSession | undefined;
  private sessions = 0;
  private lastAsk = 0;
  private readonly asks = new Map<number, (frame: MockFrame) => void>();
  private refusal: { code: number; reason: string } | undefined;
  private readonly clients = new Set<GateClient<C>>();

  constructor(private readonly options: MockGateOptions = {}) {
    // oxlint-disable-next-line typescript/no-this-alias, unicorn/no-this-assignment -- the class below has a `this` of its own
    const mock = this;
    this.WebSocket = class extends MockSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols, frame => void soon(() => mock.take(this, frame)));
        mock.sockets.add(this);
        void soon(() => mock.welcome(this));
      }
    };
  }

  /** A client of this gate. */
  connect(options: ConnectOptions = {}): GateClient<C> {
    const client = connect<C>('ws://mock.invalid/gate', { ...options, WebSocket: this.WebSocket });
    this.clients.add(client);
    return client;
  }

  /** Closes all clients that `connect` made. */
  close(): void {
    for (const client of this.clients) client.close();
  }

  /** Handles a topic. A thrown `GateError` is the reply. An async iterable is sent as a stream. */
  on<T extends TopicOf<C, 'request'>>(
    topic: T,
    handler: (body: BodyOf<C, 'request', T>) => ReplyOf<C, 'request', T> | Promise<ReplyOf<C, 'request', T>>,
  ): this;
  on<T extends TopicOf<C, 'message'>>(topic: T, handler: (body: BodyOf<C, 'message', T>) => unknown): this;
  on<T extends TopicOf<C, 'stream'>>(
    topic: T,
    handler: (body: BodyOf<C, 'stream', T>) => AsyncIterable<unknown> | Iterable<unknown>,
  ): this;
  on<B = unknown>(this: MockGate, topic: string, handler: (body: B) => unknown): this;
  on(topic: string, handler: MockHandler): unknown {
    this.handlers.set(topic, handler);
    return this;
  }

  /** Pushes to the client. Resolves when its listeners were called. While the client is away, the push is kept. */
  push<T extends TopicOf<C, 'push'>>(topic: T, ...args: Arguments<BodyOf<C, 'push', T>, never>): Promise<void>;
  push(this: MockGate, topic: string, body?: unknown): Promise<void>;
  async push(topic: string, ...[body]: readonly unknown[]): Promise<void> {
    await settle();
    this.deliver({ topic, body });
    await settle();
  }

  /** Calls the client, and resolves with its reply. */
  call<T extends TopicOf<C, 'call'>>(
    topic: T,
    ...args: Arguments<BodyOf<C, 'call', T>, never>
  ): Promise<ReplyOf<C, 'call', T>>;
  call<R = unknown>(this: MockGate, topic: string, body?: unknown): Promise<R>;
  async call(topic: string, ...[body]: readonly unknown[]): Promise<unknown> {
    await settle();
    const ask = ++this.lastAsk;
    const answer = await new Promise<MockFrame>(resolve => {
      this.asks.set(ask, resolve);
      this.deliver({ topic, body, ask });
    });
    if (answer['error'] !== undefined) throw errorOf(answer['error']);
    return answer['body'];
  }

  /** Ends the connection; 1006 simulates a cut cable. The client reconnects automatically. */
  async drop(code = 1006, reason = ''): Promise<void> {
    await settle();
    this.socket?.lose(code, reason);
    await settle();
  }

  /** The session of the client is lost on the gate: at its next connection it gets a new one, and a gap. */
  forget(): void {
    this.session = undefined;
  }

  /** Tells the client that `n` pushes are missing; `null` for an unknown number. */
  async gap(n: number | null, why = 'overrun'): Promise<void> {
    await settle();
    const { session } = this;
    this.control('gap', { from: (session?.top ?? 0) + 1, n, why });
    if (session && n !== null) {
      session.top += n;
      session.floor = session.top + 1;
      session.log = [];
    }
    await settle();
  }

  /** Refuses the next connections with a close code, until `accept` is called. */
  refuse(code: number, reason = ''): void {
    this.refusal = { code, reason };
  }

  /** Ends `refuse`. */
  accept(): void {
    this.refusal = undefined;
  }

  /** Asks the client to move: it opens a second connection before this one closes. */
  async move(withinMs = 4_000): Promise<void> {
    await settle();
    this.control('move', { withinMs });
    await settle();
  }

  /** Sockets that are open: never more than one, but for a moment while a session moves. */
  get openSockets(): number {
    return [...this.sockets].filter(({ isOpen }) => isOpen).length;
  }

  private welcome(socket: MockSocket): void {
    if (socket.closedWith) {
      this.sockets.delete(socket);
      return;
    }
    if (this.refusal) {
      socket.lose(this.refusal.code, this.refusal.reason);
      this.sockets.delete(socket);
      return;
    }
    const wanted = this.options.resume === false ? 'gate.json' : 'gate.json.2';
    socket.accept(socket.protocols.includes(wanted) ? wanted : 'gate.json');
    if (socket.protocol === 'gate.json') this.hello(socket);
  }

  private hello(socket: MockSocket): void {
    this.socket = socket;
    const clientId = `mock-${++this.sessions}`;
    const { heartbeatMs = 25_000 } = this.options;
    this.session = undefined;
    if (socket.protocol === 'gate.json') {
      socket.receive({ topic: '$gate/hello', body: { clientId, heartbeatMs } });
      return;
    }
    this.session = { id: clientId, ticket: ticketOf(clientId, 0), top: 0, floor: 1, log: [], heard: 0, lostAt: 0 };
    const session = {
      ticket: this.session.ticket,
      keepMs: 120_000,
      frames: 1_000,
      bytes: 262_144,
      ackEvery: 64,
      ackMs: 1_000,
    };
    socket.receive({ topic: '$gate/hello', body: { clientId, heartbeatMs, session } });
  }

  private take(socket: MockSocket, frame: MockFrame): void {
    const { topic, body, id } = frame;
    if (socket.closedWith && !socket.closedWith.byClient) return;
    switch (topic) {
      case '$gate/open':
        this.hello(socket);
        return;
      case '$gate/resume':
        this.resume(socket, body as { session: string; ticket: string; seen: number });
        return;
      case '$gate/bye':
        this.session = undefined;
        return;
      case '$gate/ping':
        socket.receive({ topic: '$gate/pong' });
        return;
      case '$gate/ack':
        this.acknowledge(body as number);
        return;
      case '$gate/cancel':
        return;
      default:
    }
    if (this.session) this.session.heard++;
    if (typeof frame['answer'] === 'number') {
      this.asks.get(frame['answer'])?.(frame);
      this.asks.delete(frame['answer']);
      return;
    }
    this.received.push(frame);
    void this.handle(String(topic), body, id as number | undefined, frame['stream'] === true);
  }

  private acknowledge(seen: number): void {
    const { session } = this;
    if (!session || seen < session.floor) return;
    session.log.splice(0, seen + 1 - session.floor);
    session.floor = seen + 1;
  }

  private resume(
    socket: MockSocket,
    { session: id, ticket, seen }: { session: string; ticket: string; seen: number },
  ): void {
    const { session } = this;
    if (!session || session.id !== id || session.ticket !== ticket) {
      socket.receive({ topic: '$gate/refused', body: { code: 'RESUME_UNKNOWN', message: 'The session is not known' } });
      this.hello(socket);
      return;
    }
    const older = this.socket;
    this.socket = socket;
    if (older !== socket) older?.lose(4005, 'moved');
    this.acknowledge(seen);
    session.ticket = ticketOf(id, ++this.sessions);
    const from = session.floor;
    const body = {
      clientId: id,
      ticket: session.ticket,
      from,
      heard: session.heard,
      awayMs: 0,
      replay: session.log.length,
    };
    socket.receive({ topic: '$gate/resumed', body });
    if (from > seen + 1)
      socket.receive({ topic: '$gate/gap', body: { from: seen + 1, n: from - seen - 1, why: 'overrun' } });
    for (const text of session.log) socket.receiveRaw(text);
  }

  private async handle(topic: string, body: unknown, id: number | undefined, isStream: boolean): Promise<void> {
    const handler = this.handlers.get(topic);
    try {
      if (!handler) throw new GateError('NO_HANDLER', `The mock has no handler for ${topic}`);
      const result: unknown = await handler(body as never);
      if (isStream) {
        for await (const item of result as AsyncIterable<unknown>) this.deliver({ id, item });
        this.deliver({ id, end: true });
      } else if (id !== undefined) this.deliver({ id, body: result ?? null });
    } catch (error) {
      const { code, message, details } = isGateError(error) ? error : new GateError('INTERNAL');
      if (id !== undefined) this.deliver({ id, error: { code, message, details } });
    }
  }

  /** Sends a counted frame, and keeps it until it is acknowledged. */
  private deliver(frame: MockFrame): void {
    const text = JSON.stringify(frame);
    const { session, socket } = this;
    if (session) {
      session.top++;
      session.log.push(text);
    }
    if (socket?.isOpen) socket.receiveRaw(text);
  }

  private control(topic: string, body: unknown): void {
    this.socket?.receive({ topic: `$gate/${topic}`, body });
  }
}

function ticketOf(id: string, generation: number): string {
  return `ticket-${id}-${generation}`;
}

async function soon(action: () => void): Promise<void> {
  await Promise.resolve();
  action();
}

/** Waits until the frames in flight have arrived. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
