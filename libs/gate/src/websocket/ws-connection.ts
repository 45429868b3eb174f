import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { CLOSE, closeReason } from '@nestgate/protocol';
import type { Connection, ConnectionEvents } from '../connection/connection.js';
import { type SocketFastPath, type SocketReader, type SocketWriter, takenBytes } from '@nestgate/link/internal';
import { TokenBucket } from '../admission/token-bucket.js';
import { PING_FRAME, pongFrame } from '../codec/ws-frame.js';
import type { ClientSocket, SocketOwner } from './client-socket.js';
import { readAhead, readBuffer } from './ws-read-ahead.js';

/**
 * Pings, and pongs without a ping, that a client may send: per second, and in a burst. Browsers send none, libraries one every few
 * seconds.
 */
const PING_RATE = 10;
const PING_BURST = 30;

/** The close codes of `ws`, by error code. All other errors of its receiver are protocol errors. */
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
 * Maximum number of event loop turns between a close frame or a protocol error of the client and the close frame of the gate. Answers
 * to earlier requests that are ready by then are sent first. Handlers in this process take a few turns.
 */
const CLOSING_TURNS = 16;

/** State that all connections of an acceptor share. */
export interface WsConnectionHost {
  /** Called once per connection, when it has ended. */
  leave(ip: string): void;
  /** The close reason for a message that is too large. */
  readonly tooLarge: string;
  readonly fastPath: SocketFastPath;
}

/** How `ws` wants to end a connection. */
interface Ending {
  readonly code: number | undefined;
  readonly reason: string | Buffer | undefined;
  /** Called when the client half-closes the socket before the close frame was sent. */
  readonly onEnd: () => void;
  /** The protocol error of the client, if there is one. */
  error?: Error;
}

/**
 * The WebSocket connection of a client. `ws` implements the protocol. The gate writes framed messages directly to the socket. This keeps
 * the order with the frames that `ws` writes, because permessage-deflate is off.
 */
export class WsConnection implements Connection, SocketOwner, SocketReader, SocketWriter {
  readonly network = 'ws';
  private events: ConnectionEvents | undefined;
  private controls: TokenBucket | undefined;
  /** Unanswered pings of the gate. */
  private pinged = 0;
  private isAwaited = false;
  /** Bytes that were written to the handle without the stream, and that the operating system has not accepted. */
  private unsent = 0;
  private ending: Ending | undefined;

  constructor(
    private readonly ws: ClientSocket,
    private readonly socket: Socket,
    readonly ip: string,
    private readonly host: WsConnectionHost,
  ) {}

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get writableLength(): number {
    return this.socket.writableLength + this.unsent;
  }

  get takenBytes(): number {
    return takenBytes(this.socket);
  }

  /** Starts to emit events. `binary`: whether the client's codec uses binary frames. */
  listen(events: ConnectionEvents, binary: boolean): void {
    this.events = events;
    readAhead(this.ws, binary, events);
    this.host.fastPath.attach(this.socket, this);
    this.ws.listen(this, binary);
  }

  /** A frame that was not read ahead. */
  takeMessage(data: Buffer, isBinary: boolean, wantsBinary: boolean): void {
    if (isBinary === wantsBinary) this.events?.onFrame(data);
    else this.events?.onViolation(CLOSE.wrongFrameType.code, isBinary ? 'text frames only' : 'binary frames only');
  }

  /** Answered here and not by `ws`, so that the pong is queued and counts for the limits like any other frame to the client. */
  takePing(payload: Buffer): void {
    if (this.admitsControl('too many pings')) this.events?.onProbe(pongFrame(payload));
  }

  takePong(): void {
    if (this.pinged > 0) this.pinged--;
    else this.admitsControl('too many pongs');
  }

  private admitsControl(fault: string): boolean {
    const now = performance.now();
    if ((this.controls ??= new TokenBucket(PING_RATE, PING_BURST, now)).take(now)) return true;
    this.events?.onViolation(CLOSE.policy.code, fault);
    return false;
  }

  /** `ws` answers the violation itself, with the right close code. */
  takeError(error: Error & { code?: string }): void {
    if (this.ending) {
      this.ending.error = error;
      return;
    }
    const code = CLOSE_CODE_OF[error.code ?? ''] ?? CLOSE.protocolError.code;
    this.events?.onBroken(code, code === CLOSE.tooLarge.code ? this.host.tooLarge : error.message);
  }

  /** The client has sent its last frame: `ws` wants to answer with a close frame. */
  takeEnding(code: number | undefined, data: string | Buffer | undefined): void {
    const reason = code === CLOSE.tooLarge.code && data === undefined ? this.host.tooLarge : data;
    if (!this.events?.awaitsAnswers || this.ending) {
      this.ws.closeNow(code, reason);
      return;
    }
    const onEnd = (): void => this.onEnd();
    this.ending = { code, reason, onEnd };
    // `ws` sends no close frame after the client has half-closed the socket.
    this.socket.prependListener('end', onEnd);
    this.endWithin(CLOSING_TURNS);
  }

  private endWithin(turns: number): void {
    setImmediate(() => {
      if (turns > 0 && this.ending && this.events?.awaitsAnswers) this.endWithin(turns - 1);
      else this.onEnd();
    });
  }

  private onEnd(): void {
    try {
      this.endNow();
    } catch (error) {
      this.fail(error, 'ws.end');
    }
  }

  private endNow(): void {
    const { ending } = this;
    if (!ending) return;
    this.ending = undefined;
    this.socket.off('end', ending.onEnd);
    this.ws.closeNow(ending.code, ending.reason);
    if (ending.error) this.takeError(ending.error);
  }

  takeClose(code: number, reason: Buffer): void {
    this.endNow();
    this.host.leave(this.ip);
    this.events?.onClose(code, reason.toString());
  }

  onBytes(buffer: Buffer, size: number): number {
    return readBuffer(this.ws, buffer, size);
  }

  write(data: Uint8Array): void {
    this.unsent += this.host.fastPath.write(this.socket, data, this);
  }

  onWritten(bytes: number): void {
    // Nothing may be written to a destroyed socket. Queued messages are dropped and counted when it has closed.
    if (!this.socket.destroyed) this.unsent -= bytes;
  }

  awaitDrain(): void {
    if (this.isAwaited || !this.socket.writable) return;
    this.isAwaited = true;
    // Not the `drain` event: a socket below its high-water mark emits none.
    this.socket.write(NOTHING, error => {
      this.isAwaited = false;
      try {
        // A destroyed socket accepts nothing. Queued messages are dropped and counted when the connection has ended.
        if (!error && !this.socket.destroyed) this.events?.onDrain();
      } catch (defect) {
        this.fail(defect, 'ws.drain');
      }
    });
  }

  /** A callback of the socket has thrown: only this connection ends. */
  fail(error: unknown, where: string): void {
    this.events?.onDefect(error, where);
  }

  ping(): void {
    this.pinged++;
    this.write(PING_FRAME);
  }

  pause(): void {
    this.ws.pause();
  }

  resume(): void {
    this.ws.resume();
  }

  close(code: number, reason: string): void {
    this.ws.closeNow(code, closeReason(reason));
    this.endNow();
  }

  destroy(): void {
    this.ws.terminate();
  }
}

/** The socket of an upgrade. Node types it as a stream because servers may be given other streams; here it is a socket. */
export function asSocket(stream: Duplex): Socket {
  return stream as Socket;
}
