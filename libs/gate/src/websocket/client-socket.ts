import { type RawData, WebSocket } from 'ws';

/** Receives the events of a {@link ClientSocket}. */
export interface SocketOwner {
  /** A frame that was not read ahead. */
  takeMessage(data: Buffer, isBinary: boolean, wantsBinary: boolean): void;
  takePing(payload: Buffer): void;
  takePong(): void;
  takeError(error: Error & { code?: string }): void;
  /** The client has sent its last frame: `ws` wants to answer with a close frame. */
  takeEnding(code: number | undefined, data: string | Buffer | undefined): void;
  takeClose(code: number, reason: Buffer): void;
  /** One of the methods above has thrown: only this connection ends. */
  fail(error: unknown, where: string): void;
}

const OWNER = Symbol('owner');

/** A socket with its owner. */
type OwnedSocket = WebSocket & { [OWNER]?: SocketOwner };

/** The class of the sockets that the WebSocket server creates. */
export class ClientSocket extends WebSocket {
  [OWNER]?: SocketOwner;

  /** Sends all events to `owner` from now on. `wantsBinary`: whether the client's codec uses binary frames. */
  listen(owner: SocketOwner, wantsBinary: boolean): void {
    this[OWNER] = owner;
    // All connections share these functions: closures would be a large part of the memory of an idle client.
    this.on('message', wantsBinary ? onBinaryClientMessage : onTextClientMessage);
    this.on('ping', onPing);
    this.on('pong', onPong);
    this.on('error', onError);
    this.on('close', onClose);
  }

  /** Called by `ws` itself, when the client has sent a close frame, or has broken the protocol. */
  override close(code?: number, data?: string | Buffer): void {
    const owner = this[OWNER];
    if (owner) owner.takeEnding(code, data);
    else super.close(code, data);
  }

  /** Called by the gate. */
  closeNow(code?: number, data?: string | Buffer): void {
    super.close(code, data);
  }
}

// Sockets call these functions: an exception would end the process.

function onTextClientMessage(this: OwnedSocket, data: RawData, isBinary: boolean): void {
  const owner = this[OWNER];
  try {
    owner?.takeMessage(data as Buffer, isBinary, false);
  } catch (error) {
    owner?.fail(error, 'ws.message');
  }
}

function onBinaryClientMessage(this: OwnedSocket, data: RawData, isBinary: boolean): void {
  const owner = this[OWNER];
  try {
    owner?.takeMessage(data as Buffer, isBinary, true);
  } catch (error) {
    owner?.fail(error, 'ws.message');
  }
}

function onPing(this: OwnedSocket, payload: Buffer): void {
  const owner = this[OWNER];
  try {
    owner?.takePing(payload);
  } catch (error) {
    owner?.fail(error, 'ws.ping');
  }
}

function onPong(this: OwnedSocket): void {
  const owner = this[OWNER];
  try {
    owner?.takePong();
  } catch (error) {
    owner?.fail(error, 'ws.pong');
  }
}

function onError(this: OwnedSocket, error: Error): void {
  const owner = this[OWNER];
  try {
    owner?.takeError(error);
  } catch (defect) {
    owner?.fail(defect, 'ws.error');
  }
}

function onClose(this: OwnedSocket, code: number, reason: Buffer): void {
  const owner = this[OWNER];
  try {
    owner?.takeClose(code, reason);
  } catch (error) {
    owner?.fail(error, 'ws.close');
  }
}
