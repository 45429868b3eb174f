import type { WebSocketLike } from '../connection/socket.js';

/** A frame of `gate.json`, as a test writes and reads it. */
export type MockFrame = Readonly<Record<string, unknown>>;

/** The socket of a client without a network: the test is the server. */
export class MockSocket implements WebSocketLike {
  binaryType = 'blob';
  bufferedAmount = 0;
  protocol = '';
  onopen: WebSocketLike['onopen'] = null;
  onmessage: WebSocketLike['onmessage'] = null;
  onclose: WebSocketLike['onclose'] = null;
  onerror: WebSocketLike['onerror'] = null;
  /** Frames that the client has sent, in order. */
  readonly sent: MockFrame[] = [];
  /** Set when either side has closed: the code that the client gave, or the server. */
  closedWith: { readonly code: number | undefined; readonly byClient: boolean } | undefined;

  constructor(
    readonly url: string,
    readonly protocols: readonly string[],
    private readonly onSent: (frame: MockFrame) => void = () => undefined,
  ) {}

  get isOpen(): boolean {
    return this.protocol !== '' && !this.closedWith;
  }

  /** The server accepts the connection, with one of the subprotocols that the client offers. */
  accept(protocol = this.protocols[0] ?? ''): void {
    this.protocol = protocol;
    this.onopen?.({} as never);
  }

  /** The server sends a frame. */
  receive(frame: MockFrame): void {
    this.receiveRaw(JSON.stringify(frame));
  }

  /** The server sends data unchanged. */
  receiveRaw(data: unknown): void {
    if (!this.closedWith) this.onmessage?.({ data } as never);
  }

  /** The server closes, or the network breaks: 1006 is without a close frame. */
  lose(code = 1006, reason = ''): void {
    if (this.closedWith) return;
    this.closedWith = { code, byClient: false };
    this.onclose?.({ code, reason } as never);
  }

  send(data: string | Uint8Array): void {
    if (this.closedWith) return;
    const frame = JSON.parse(data as string) as MockFrame;
    this.sent.push(frame);
    this.onSent(frame);
  }

  close(code?: number): void {
    this.closedWith ??= { code, byClient: true };
  }
}
