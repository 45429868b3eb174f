import { waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';

/** A frame as a `gate.json.2` client gets it. */
export interface Frame {
  readonly topic?: string;
  readonly id?: number;
  readonly body?: unknown;
  readonly error?: { readonly code: string };
  readonly stream?: boolean;
  readonly item?: unknown;
  readonly end?: boolean;
}

/** What a hello or a `resumed` says. */
export interface Greeting {
  readonly clientId: string;
  readonly ticket?: string;
  readonly from?: number;
  readonly heard?: number;
  readonly awayMs?: number;
  readonly heartbeatMs?: number;
  readonly session?: { readonly ticket: string; readonly keepMs: number; readonly [key: string]: unknown };
}

/** Changes of what `resume` says. */
export type ResumeParts = Record<string, unknown>;

/**
 * A `gate.json.2` client that does what the protocol asks for, and no more: it counts frames, keeps what the gate has not accepted, and
 * resumes when it is told to. Sockets of before are not heard any more.
 */
export class ResumeClient {
  /** All counted frames, of all connections, in order. */
  readonly frames: Frame[] = [];
  /** The gate's own frames, of all connections. */
  readonly own: Frame[] = [];
  readonly gaps: { readonly from: number; readonly n: number; readonly why: string }[] = [];
  clientId = '';
  ticket = '';
  seen = 0;
  /** Frames sent so far. */
  sent = 0;
  closedWith: { readonly code: number; readonly reason: string } | undefined;
  socket: WebSocket | undefined;
  greeting: Greeting | undefined;
  /** Whether frames are acknowledged at once. */
  isAcking = true;
  headers: Record<string, string> = {};
  private unheard: string[] = [];
  private lastId = 0;

  constructor(public url: string) {}

  static async open(url: string, parts: ResumeParts = {}, headers: Record<string, string> = {}): Promise<ResumeClient> {
    const client = new ResumeClient(url);
    client.headers = headers;
    await client.open(parts);
    return client;
  }

  /** Opens a session; resolves with its hello. */
  async open(parts: ResumeParts = {}): Promise<Greeting> {
    await this.connect({ topic: '$gate/open', body: { v: 2, keep: true, ...parts } });
    return this.greeted();
  }

  /** Resumes; resolves with `resumed`, or the hello of a new session. */
  async resume(parts: ResumeParts = {}): Promise<Greeting> {
    await this.beginResume(parts);
    return this.greeted();
  }

  /** Connects and sends `resume`, or what stands for it, and waits for nothing. */
  async beginResume(parts: ResumeParts = {}, ...behind: readonly Frame[]): Promise<void> {
    const { clientId: session, ticket, seen, sent } = this;
    await this.connect({ topic: '$gate/resume', body: { v: 2, session, ticket, seen, sent, ...parts } }, ...behind);
  }

  /** Connects, and sends these frames in one write; a text is sent as it is. */
  async connect(...frames: readonly (Frame | string)[]): Promise<void> {
    this.cut();
    const socket = new WebSocket(this.url, ['gate.json.2', 'gate.json'], { headers: this.headers });
    this.socket = socket;
    this.closedWith = undefined;
    this.greeting = undefined;
    socket.on('message', data => {
      if (socket === this.socket) this.take(JSON.parse((data as Buffer).toString()) as Frame);
    });
    socket.on('error', () => undefined);
    const closed = new Promise<void>(resolve => {
      socket.on('close', (code, reason) => {
        if (socket === this.socket) this.closedWith = { code, reason: reason.toString() };
        resolve();
      });
    });
    await Promise.race([new Promise(resolve => socket.on('open', resolve)), closed]);
    if (socket.readyState !== WebSocket.OPEN) return;
    for (const frame of frames) socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** The first greeting of the connection at hand. */
  greeted(): Promise<Greeting> {
    return waitUntil('a greeting', () => {
      if (!this.greeting && this.closedWith) throw new Error(`closed with ${JSON.stringify(this.closedWith)}`);
      return this.greeting;
    });
  }

  /** Ends the socket without a word; the gate notices. */
  cut(): void {
    const { socket } = this;
    this.socket = undefined;
    socket?.terminate();
  }

  async closed(): Promise<number> {
    await waitUntil('the end', () => this.closedWith);
    return this.closedWith?.code ?? 0;
  }

  /** Sends a counted frame, or keeps it for the next connection. */
  send(frame: Frame): void {
    const text = JSON.stringify(frame);
    this.unheard.push(text);
    this.sent++;
    if (this.socket?.readyState === WebSocket.OPEN && this.greeting) this.socket.send(text);
  }

  /** Sends a frame that is not counted. */
  sendOwn(frame: Frame | string): void {
    this.socket?.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Sends a request; returns its id. */
  ask(topic: string, body?: unknown): number {
    const id = ++this.lastId;
    this.send({ topic, body, id });
    return id;
  }

  /** Asks for a stream; returns its id. */
  beginStream(topic: string, body?: unknown): number {
    const id = ++this.lastId;
    this.send({ topic, body, id, stream: true });
    return id;
  }

  cancel(id: number): void {
    this.sendOwn({ topic: '$gate/cancel', body: id });
  }

  items(id: number): unknown[] {
    return this.frames.filter(frame => frame.id === id && 'item' in frame).map(({ item }) => item);
  }

  /** How a stream has ended: `end`, or the code of its error, as often as it has. */
  ends(id: number): string[] {
    return this.frames
      .filter(frame => frame.id === id && !('item' in frame))
      .map(({ end, error }) => (end ? 'end' : (error?.code ?? 'reply')));
  }

  async answer(id: number): Promise<Frame> {
    return waitUntil(`the answer to ${id}`, () => {
      const found = this.frames.find(frame => frame.id === id);
      if (!found && this.closedWith) throw new Error(`closed with ${JSON.stringify(this.closedWith)}`);
      return found;
    });
  }

  async request(topic: string, body?: unknown): Promise<unknown> {
    const { error, body: result } = await this.answer(this.ask(topic, body));
    if (error) throw Object.assign(new Error(error.code), error);
    return result;
  }

  /** The bodies of the pushes on a topic, in the order in which they came. */
  pushed(topic: string): unknown[] {
    return this.frames.filter(frame => frame.topic === topic).map(({ body }) => body);
  }

  /** The bodies of the gate's own frames of a kind. */
  ownOf(kind: string): unknown[] {
    return this.own.filter(({ topic }) => topic === `$gate/${kind}`).map(({ body }) => body);
  }

  private take(frame: Frame): void {
    if (!frame.topic?.startsWith('$gate/')) {
      this.frames.push(frame);
      this.seen++;
      if (this.isAcking) this.sendOwn({ topic: '$gate/ack', body: this.seen });
      return;
    }
    this.own.push(frame);
    const body = frame.body as Greeting;
    switch (frame.topic) {
      case '$gate/hello':
        this.clientId = body.clientId;
        this.ticket = body.session?.ticket ?? '';
        this.seen = 0;
        this.sent = 0;
        this.unheard = [];
        this.greeting = body;
        break;
      case '$gate/resumed': {
        this.ticket = body.ticket as string;
        const unheard = this.unheard.slice(this.unheard.length - (this.sent - (body.heard as number)));
        this.unheard = unheard;
        for (const text of unheard) this.socket?.send(text);
        this.greeting = body;
        break;
      }
      case '$gate/gap': {
        const gap = frame.body as { from: number; n: number; why: string };
        this.gaps.push(gap);
        this.seen = gap.from + gap.n - 1;
        break;
      }
      case '$gate/ack': {
        const heard = frame.body as number;
        this.unheard = this.unheard.slice(this.unheard.length - (this.sent - heard));
        break;
      }
      default:
    }
  }
}
