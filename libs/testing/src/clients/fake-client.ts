import type { ErrorBody } from '@nestgate/protocol';
import { type ClientOptions, WebSocket } from 'ws';
import { parseJson } from '@nestgate/link/internal';
import { RequestError } from './request-error.js';
import { testNetworkOptions } from '../network/test-network.js';
import { waitUntil } from '../wait-until.js';

/** A frame as a `gate.json` client gets it: a push has a topic, a reply an id. */
export interface ReceivedFrame {
  readonly topic?: string;
  readonly id?: number;
  readonly body?: unknown;
  readonly error?: ErrorBody;
  readonly encoding?: string;
  /** An item of a stream, */
  readonly item?: unknown;
  /** and its end. */
  readonly end?: true;
  /** The number of a call to the client. */
  readonly ask?: number;
}

/** A stream that has ended. */
export interface ReceivedStream {
  readonly items: readonly unknown[];
  /** How it has ended, unless that was an error. */
  readonly ended: boolean;
  readonly error?: ErrorBody | undefined;
}

/** How a connection ended. */
export interface ClosedWith {
  readonly code: number;
  readonly reason: string;
}

/** What a refused upgrade was answered with. */
export class UpgradeRefused extends Error {
  constructor(readonly status: number) {
    super(`The upgrade was refused with ${status}`);
  }
}

/** How a fake client connects. */
export interface FakeClientOptions extends ClientOptions {
  /** Subprotocols to offer; none unless given. */
  readonly protocols?: readonly string[] | undefined;
  /**
   * Whether `connect` waits for the hello, which comes when the client has been welcomed.
   * @defaultValue true
   */
  readonly awaitHello?: boolean | undefined;
}

/** A `gate.json` client for tests, over a real WebSocket. It keeps every frame it has received, in order. */
export class FakeClient {
  readonly frames: ReceivedFrame[] = [];
  /** Settles when the connection has ended. */
  readonly closed: Promise<ClosedWith>;
  closedWith: ClosedWith | undefined;
  private lastId = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', data => this.frames.push(parseJson<ReceivedFrame>((data as Buffer).toString('utf8'))));
    socket.on('error', () => undefined);
    this.closed = new Promise(resolve => {
      socket.on('close', (code, reason) => resolve((this.closedWith = { code, reason: reason.toString() })));
    });
  }

  /**
   * Connects, and waits for the hello, or for the end of a connection that the gate does not welcome.
   * @throws {UpgradeRefused} when the gate answers with an HTTP error.
   */
  static async connect(
    url: string,
    { protocols, awaitHello = true, ...options }: FakeClientOptions = {},
  ): Promise<FakeClient> {
    const network = await testNetworkOptions(url, options);
    const socket = new WebSocket(url, [...(protocols ?? [])], { perMessageDeflate: false, ...network });
    const client = new FakeClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.on('unexpected-response', (request, response) => {
        reject(new UpgradeRefused(response.statusCode ?? 0));
        request.destroy();
      });
      socket.on('error', reject);
      socket.on('open', () => resolve());
    });
    if (!awaitHello) return client;
    const hello = client.push('$gate/hello').catch((error: unknown) => {
      if (!client.closedWith) throw error;
    });
    await Promise.race([hello, client.closed]);
    return client;
  }

  get clientId(): string {
    const [hello] = this.pushes('$gate/hello') as readonly { body: { clientId: string } }[];
    if (!hello) throw new Error('The gate has not said hello yet');
    return hello.body.clientId;
  }

  /** Sends text as it is. */
  sendRaw(text: string | Buffer): void {
    this.socket.send(text);
  }

  /** Sends a message without a request id. */
  send(topic: string, body?: unknown): void {
    this.sendRaw(JSON.stringify({ topic, body }));
  }

  /** Sends a request without waiting for its answer, and returns its id. */
  ask(topic: string, body?: unknown): number {
    const id = ++this.lastId;
    this.sendRaw(JSON.stringify({ topic, body, id }));
    return id;
  }

  /** Sends a request whose reply is to be a stream, and returns its id. */
  beginStream(topic: string, body?: unknown): number {
    const id = ++this.lastId;
    this.sendRaw(JSON.stringify({ topic, body, id, stream: true }));
    return id;
  }

  /** The items of a stream so far. */
  items(id: number): readonly unknown[] {
    return this.frames.filter(frame => frame.id === id && 'item' in frame).map(({ item }) => item);
  }

  /** What came of a stream, when it has ended. A reply instead of a stream counts as its only item. */
  async streamed(id: number, timeoutMs?: number): Promise<ReceivedStream> {
    const matches = (frame: ReceivedFrame): boolean => frame.id === id && !('item' in frame);
    const last = await this.frame(`the end of stream ${id}`, matches, timeoutMs);
    const items = 'body' in last ? [...this.items(id), last.body] : this.items(id);
    return { items, ended: last.end === true, error: last.error };
  }

  /** Requests a stream, and resolves when it has ended. */
  stream(topic: string, body?: unknown, timeoutMs?: number): Promise<ReceivedStream> {
    return this.streamed(this.beginStream(topic, body), timeoutMs);
  }

  /** Cancels a stream. */
  cancel(id: number): void {
    this.send('$gate/cancel', id);
  }

  /** The answer to a request, whether it is a result or an error. */
  answer(id: number, timeoutMs?: number): Promise<ReceivedFrame> {
    return this.frame(`the answer to request ${id}`, frame => frame.id === id, timeoutMs);
  }

  /** Asks, and resolves with the whole answer. */
  exchange(topic: string, body?: unknown, timeoutMs?: number): Promise<ReceivedFrame> {
    return this.answer(this.ask(topic, body), timeoutMs);
  }

  /** Asks, and resolves with the result. @throws {RequestError} with the code of the answer, when that is an error. */
  async request<T = unknown>(topic: string, body?: unknown, timeoutMs?: number): Promise<T> {
    const { error, body: result } = await this.exchange(topic, body, timeoutMs);
    if (error) throw new RequestError(topic, error);
    return result as T;
  }

  /** The first push on a topic (that matches). */
  push(topic: string, matches: (body: never) => boolean = () => true, timeoutMs?: number): Promise<ReceivedFrame> {
    return this.frame(`a push on ${topic}`, frame => frame.topic === topic && matches(frame.body as never), timeoutMs);
  }

  /** All pushes on a topic so far. */
  pushes(topic: string): readonly ReceivedFrame[] {
    return this.frames.filter(frame => frame.topic === topic);
  }

  /** Closes, and waits until the connection has ended. */
  async close(): Promise<ClosedWith> {
    this.socket.close();
    return this.closed;
  }

  private frame(what: string, matches: (frame: ReceivedFrame) => boolean, timeoutMs?: number): Promise<ReceivedFrame> {
    return waitUntil(
      what,
      () => {
        const found = this.frames.find(matches);
        if (!found && this.closedWith) throw new Error(`Closed with ${this.closedWith.code} before ${what}`);
        return found;
      },
      timeoutMs,
    );
  }
}
