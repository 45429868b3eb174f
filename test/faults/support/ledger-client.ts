import type { ErrorBody } from '@nestgate/protocol';
import { type ReceivedFrame, testNetworkOptions, waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import { RequestLedger } from './request-ledger.js';

/** Ids of calls outside the ledger start here. */
const FIRST_CALL_ID = 1_000_000_000;

/** A call whose answer was an error. */
export class CallFailed extends Error {
  constructor(
    topic: string,
    readonly code: string,
    { message }: ErrorBody,
  ) {
    super(`${topic} was answered with ${code}: ${message}`);
  }
}

/** A `gate.json` client whose requests stand in a ledger. Pushes go to the listeners of their topic. */
export class LedgerClient {
  readonly requests: RequestLedger;
  closedWith: number | undefined;
  /** What the gate calls this client. */
  clientId = '';
  /** Frames that belong to nobody: errors without an id, second answers to calls. */
  readonly strays: ReceivedFrame[] = [];
  private readonly listeners = new Map<string, (body: unknown) => void>();
  private readonly calls = new Map<number, (frame: ReceivedFrame) => void>();
  private lastCall = FIRST_CALL_ID;

  private constructor(
    readonly socket: WebSocket,
    /** The gate's. */
    readonly port: number,
    readonly run: string,
    readonly name: string,
  ) {
    this.requests = new RequestLedger(run, name);
    socket.on('message', data => this.take(JSON.parse((data as Buffer).toString('utf8')) as ReceivedFrame));
    socket.on('error', () => undefined);
    socket.on('close', code => {
      this.closedWith = code;
      this.requests.abandon(`CLOSED_${code}`);
      for (const [id, settle] of this.calls) settle({ id, error: { code: `CLOSED_${code}`, message: 'closed' } });
    });
  }

  /**
   * Connects and waits for the hello. With a uid the gates of this folder bind the client in its handshake. `prepare` is called
   * before anything can have come, for pushes that follow the hello at once.
   */
  static async connect(
    port: number,
    run: string,
    name: string,
    { uid, prepare }: { readonly uid?: string; readonly prepare?: (client: LedgerClient) => void } = {},
  ): Promise<LedgerClient> {
    const query = uid === undefined ? '' : `?uid=${encodeURIComponent(uid)}`;
    const url = `ws://127.0.0.1:${port}/gate${query}`;
    const socket = new WebSocket(url, await testNetworkOptions(url, { perMessageDeflate: false }));
    const client = new LedgerClient(socket, port, run, name);
    client.onPush('$gate/hello', body => ({ clientId: client.clientId } = body as { clientId: string }));
    prepare?.(client);
    try {
      await waitUntil(`the hello to ${name}`, () => {
        if (client.closedWith !== undefined) throw new Error(`${name} was closed with ${client.closedWith}`);
        return client.clientId;
      });
    } catch (error) {
      client.end();
      throw error;
    }
    return client;
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends the next request of the ledger. `extra` goes beside the payload, and does not come back. */
  ask(topic: string, extra?: object): void {
    const payload = this.requests.log.intend();
    this.send({ topic, body: extra ? { ...extra, payload } : payload, id: payload.seq });
  }

  /** Sends a message that is not in the ledger, and that nobody waits for. */
  note(topic: string, body: unknown): void {
    if (this.isOpen) this.send({ topic, body });
  }

  /** Asks outside the ledger; resolves with the whole answer. */
  exchange(topic: string, body?: unknown): Promise<ReceivedFrame> {
    const id = ++this.lastCall;
    return new Promise(resolve => {
      this.calls.set(id, frame => {
        this.calls.delete(id);
        resolve(frame);
      });
      this.send({ topic, body, id });
    });
  }

  /** Asks outside the ledger. @throws {CallFailed} when the answer is an error. */
  async call<T = unknown>(topic: string, body?: unknown): Promise<T> {
    const { error, body: result } = await this.exchange(topic, body);
    if (error) throw new CallFailed(topic, error.code, error);
    return result as T;
  }

  /** Says who takes the pushes on a topic. */
  onPush(topic: string, listener: (body: unknown) => void): void {
    this.listeners.set(topic, listener);
  }

  end(): void {
    this.socket.terminate();
  }

  private send(frame: object): void {
    // A message to a closed connection fails like one that was on its way: nobody will answer it.
    if (this.isOpen) this.socket.send(JSON.stringify(frame));
    else this.take({ ...frame, error: { code: `CLOSED_${this.closedWith}`, message: 'closed' } });
  }

  private take(frame: ReceivedFrame): void {
    const { id, topic } = frame;
    if (id === undefined) {
      const listener = this.listeners.get(topic ?? '');
      if (listener) listener(frame.body);
      else this.strays.push(frame);
    } else if (id < FIRST_CALL_ID) {
      this.requests.answer(frame);
    } else {
      const settle = this.calls.get(id);
      if (settle) settle(frame);
      else this.strays.push(frame);
    }
  }
}
