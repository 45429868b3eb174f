import { type RawData, WebSocket } from 'ws';

/** Who is told what happens on a {@link ClientSocket}. */
export interface SocketOwner {
  /** A frame that was not read ahead. */
  takeMessage(data: Buffer, isBinary: boolean, wantsBinary: boolean): void;
  takePing(payload: Buffer): void;
  takePong(): void;
  takeError(error: Error & { code?: string }): void;
  /** The client has sent its last frame: `ws` wants to answer with a close frame. */
  takeEnding(code: number | undefined, data: string | Buffer | undefined): void;
  takeClose(code: number, reason: Buffer): void;
  /** One of the above has thrown: this connection ends, and no other one. */
  fail(error: unknown, where: string): void;
}

const OWNER = Symbol('owner');

/** A socket as its listeners see it. */
type OwnedSocket = WebSocket & { [OWNER]?: SocketOwner };

/** The class that the WebSocket server makes its clients of. */
export class ClientSocket extends WebSocket {
  [OWNER]?: SocketOwner;

  /** Tells `owner` from now on what happens. `wantsBinary`: the kind of frames this client's codec uses. */
  listen(owner: SocketOwner, wantsBinary: boolean): void {
    this[OWNER] = owner;
    // Functions that all connections share: most clients are idle, and closures would be a good part of what they cost.
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

// Each is called by a socket: what it throws would end the process.

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
