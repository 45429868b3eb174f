import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { CLOSE } from '@nestgate/protocol';
import type { WebSocket } from 'ws';
import type { Connection, ConnectionEvents } from './connection.js';
import { TokenBucket } from './token-bucket.js';
import { PING_FRAME, WS_BINARY, WS_TEXT } from './ws-frame.js';
import { readAhead } from './ws-read-ahead.js';

/** Pings a client may send per second, and at once. Browsers send none, libraries one in some seconds. */
const PING_RATE = 10;
const PING_BURST = 30;
/** A reason has at most 123 bytes in a close frame. */
const MAX_REASON = 120;

/** What `ws` closes with, by its error. Anything else of its receiver is a protocol error. */
const CLOSE_CODE_OF: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: CLOSE.badText.code,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CLOSE.tooLarge.code,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CLOSE.tooLarge.code,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: CLOSE.policy.code,
  ECONNRESET: CLOSE.goingAway.code,
  EPIPE: CLOSE.goingAway.code,
};

const NOTHING = Buffer.alloc(0);

/**
 * A client over WebSocket. `ws` speaks the protocol; data frames are written to the socket beside it, framed already,
 * which keeps the order with what `ws` writes as long as permessage-deflate is off.
 */
export class WsConnection implements Connection {
  readonly network = 'ws';
  private pings: TokenBucket | undefined;

  constructor(
    private readonly ws: WebSocket,
    private readonly socket: Socket,
    readonly ip: string,
  ) {}

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get writableLength(): number {
    return this.socket.writableLength;
  }

  /** Starts telling what happens. `binary`: the kind of frames this client's codec uses. */
  listen(events: ConnectionEvents, binary: boolean): void {
    const { ws } = this;
    this.notifyDrain = () => {
      this.isAwaited = false;
      events.onDrain();
    };
    readAhead(ws, binary ? WS_BINARY : WS_TEXT, data => events.onFrame(data));
    ws.on('message', (data, isBinary) => {
      if (isBinary === binary) events.onFrame(data as Buffer);
      else events.onViolation(CLOSE.wrongFrameType.code, isBinary ? 'text frames only' : 'binary frames only');
    });
    ws.on('ping', () => {
      const now = Date.now();
      if (!(this.pings ??= new TokenBucket(PING_RATE, PING_BURST, now)).take(now)) {
        events.onViolation(CLOSE.policy.code, 'too many pings');
      }
    });
    // `ws` has answered the violation already, with the close code that it calls for.
    ws.on('error', (error: Error & { code?: string }) => {
      events.onBroken(CLOSE_CODE_OF[error.code ?? ''] ?? CLOSE.protocolError.code, error.message);
    });
    ws.on('close', (code, reason) => events.onClose(code, reason.toString()));
  }

  write(data: Uint8Array): void {
    this.socket.write(data);
  }

  awaitDrain(): void {
    if (this.isAwaited || !this.socket.writable) return;
    this.isAwaited = true;
    // Not the `drain` event: a socket below its high-water mark has none, whoever has written to it.
    this.socket.write(NOTHING, this.notifyDrain);
  }

  ping(): void {
    this.write(PING_FRAME);
  }

  pause(): void {
    this.ws.pause();
  }

  resume(): void {
    this.ws.resume();
  }

  close(code: number, reason: string): void {
    this.ws.close(
      code,
      Buffer.from(reason)
        .subarray(0, MAX_REASON)
        .toString()
        .replace(/\uFFFD+$/, ''),
    );
  }

  destroy(): void {
    this.ws.terminate();
  }

  private isAwaited = false;
  private notifyDrain: () => void = () => undefined;
}

/** The socket of an upgrade. Node types it as a stream because servers may be given other streams; here it is a socket. */
export function asSocket(stream: Duplex): Socket {
  return stream as Socket;
}
