import type { Socket } from 'node:net';
import { CLOSE } from '@nestgate/protocol';
import type { Connection, ConnectionEvents } from '../connection/connection.js';
import { type SocketFastPath, type SocketReader, type SocketWriter, takenBytes } from '@nestgate/link/internal';
import type { SplitFault, Splitter } from '../codec/stream-splitter.js';

/** How long a client may take to close its side, in milliseconds. */
const CLOSE_MS = 2_000;
const NOTHING = Buffer.alloc(0);

/** A client over TCP (or TLS). There are no close codes on this wire: the gate only closes. */
export class TcpConnection implements Connection, SocketReader, SocketWriter {
  readonly network = 'tcp';
  private closing: { readonly code: number; readonly reason: string } | undefined;
  private isAwaited = false;
  /** Bytes that were written to the handle without the stream, and that the operating system has not accepted. */
  private unsent = 0;
  private takeChunk: (chunk: Buffer) => void = () => undefined;
  private notifyDrain: (error?: Error | null) => void = () => undefined;

  constructor(
    private readonly socket: Socket,
    readonly ip: string,
    private readonly fastPath: SocketFastPath,
    private readonly pingFrame: Buffer | undefined,
    private readonly tooLarge: string = CLOSE.tooLarge.reason,
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

  get hasPing(): boolean {
    return this.pingFrame !== undefined;
  }

  /** Starts telling what happens. */
  listen(events: ConnectionEvents, splitter: Splitter): void {
    const { socket } = this;
    this.notifyDrain = error => {
      this.isAwaited = false;
      // A socket that is destroyed says so here first. What waits must not be written to it, or nobody would count it.
      if (!error && !socket.destroyed) guarded('tcp.drain', () => events.onDrain());
    };
    // Each callback is called by the socket: what it throws would end the process, and ends this connection instead.
    const guarded = (where: string, act: () => void): void => {
      try {
        act();
      } catch (defect) {
        events.onDefect(defect, where);
      }
    };
    let fault: SplitFault | undefined;
    this.takeChunk = chunk => {
      // Behind a fault nobody knows where a message begins, and the client may take a while to be gone.
      if (this.closing || fault) return;
      try {
        fault = splitter.push(chunk);
        if (fault === 'too-large') events.onViolation(CLOSE.tooLarge.code, this.tooLarge);
        else if (fault) events.onViolation(CLOSE.protocolError.code, 'a message without content');
      } catch (error) {
        // Where the next message begins is not known any more.
        fault = 'too-small';
        events.onDefect(error, 'tcp.data');
      }
    };
    socket.on('data', this.takeChunk);
    this.fastPath.attach(socket, this);
    // The client has said all it had to say; it may still read what it has asked for.
    socket.on('end', () => guarded('tcp.end', () => events.onHalfClose()));
    socket.on('close', () => {
      const { code, reason } = this.closing ?? CLOSE.goingAway;
      guarded('tcp.close', () => events.onClose(code, reason));
    });
  }

  onBytes(buffer: Buffer, size: number): number {
    const chunk = Buffer.allocUnsafe(size);
    buffer.copy(chunk, 0, 0, size);
    this.takeChunk(chunk);
    return size;
  }

  write(data: Uint8Array): void {
    const { socket } = this;
    if (socket.writable) this.unsent += this.fastPath.write(socket, data, this);
  }

  onWritten(bytes: number): void {
    // Nothing may be written to a destroyed socket. Queued messages are dropped and counted when it has closed.
    if (!this.socket.destroyed) this.unsent -= bytes;
  }

  awaitDrain(): void {
    if (this.isAwaited || !this.socket.writable) return;
    this.isAwaited = true;
    // Not the `drain` event: a socket below its high-water mark emits none.
    this.socket.write(NOTHING, this.notifyDrain);
  }

  ping(): void {
    if (this.pingFrame) this.write(this.pingFrame);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  close(code: number, reason: string): void {
    if (this.closing) return;
    this.closing = { code, reason };
    const { socket } = this;
    socket.end();
    // What the client still sends is read and thrown away, so that its side can close properly.
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), CLOSE_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.socket.destroy();
  }
}
