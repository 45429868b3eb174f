import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { type Defects, present } from '@nestgate/link/internal';
import { SocketList } from './socket-list.js';

const IN_FLIGHT = Symbol('requests in flight');
/** Of a connection that is none of HTTP's any more: answers that end later do not bring it back. */
const RELEASED = -1;

/** A connection that knows how many of its requests are not answered. */
interface Counting extends Socket {
  [IN_FLIGHT]?: number;
}

/**
 * Knows which connections of an HTTP server have no request in flight. Node waits for them when the server is closed
 * (until `headersTimeout`, or until a TLS handshake is too late), which would let one silent connection hold up the end of the process.
 */
export class HttpDrain {
  private readonly waiting = new SocketList();
  /** Of a TLS server, the connections below those that will come out of a TLS handshake, by the client's end. */
  private readonly unsecured = new Map<string, Socket>();
  private readonly connected: 'connection' | 'secureConnection';
  // One for all connections, and none for those that are upgraded: they may be many, and live long.
  private readonly onClose: (this: Socket) => void;
  private readonly onUnsecuredClose: (this: Socket) => void;

  private readonly onUnsecured: (socket: Socket) => void;
  private readonly onConnection: (socket: Socket) => void;
  private readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;

  /** `defects` is told what its listeners throw. */
  constructor(
    private readonly server: Server,
    defects: Defects,
  ) {
    this.onUnsecured = defects.guard('http.connection', socket => this.noteUnsecured(socket));
    this.onConnection = defects.guard('http.connection', socket => this.noteConnection(socket));
    this.onRequest = defects.guard('http.request', (request, response) => this.noteRequest(request, response));
    const { waiting, unsecured } = this;
    this.onClose = function () {
      waiting.remove(this);
    };
    this.onUnsecuredClose = function () {
      unsecured.delete(endOf(this));
    };
    const isTls = server instanceof TlsServer;
    this.connected = isTls ? 'secureConnection' : 'connection';
    if (isTls) server.on('connection', this.onUnsecured);
    server.on(this.connected, this.onConnection);
    server.prependListener('request', this.onRequest);
  }

  /** How many connections would be cut now. */
  get size(): number {
    return this.waiting.size + this.unsecured.size;
  }

  /** Forgets a connection that has been upgraded. */
  release(socket: Counting): void {
    this.waiting.remove(socket);
    socket[IN_FLIGHT] = RELEASED;
    socket.off('close', this.onClose);
  }

  /** Cuts the connections that wait for a request. Requests in flight are answered. */
  close(): void {
    this.server.off('connection', this.onUnsecured);
    this.server.off(this.connected, this.onConnection);
    this.server.off('request', this.onRequest);
    for (const socket of [...this.waiting.all(), ...this.unsecured.values()]) socket.destroy();
  }

  private noteUnsecured(socket: Socket): void {
    this.unsecured.set(endOf(socket), socket);
    socket.on('close', this.onUnsecuredClose);
  }

  private noteConnection(socket: Socket): void {
    if (this.connected === 'secureConnection') {
      const end = endOf(socket);
      this.unsecured.get(end)?.off('close', this.onUnsecuredClose);
      this.unsecured.delete(end);
    }
    this.waiting.add(socket);
    socket.on('close', this.onClose);
  }

  private noteRequest(request: IncomingMessage, response: ServerResponse): void {
    const socket: Counting = request.socket;
    this.waiting.remove(socket);
    socket[IN_FLIGHT] = (socket[IN_FLIGHT] ?? 0) + 1;
    response.once('close', () => {
      // The next one may have come before this one was answered.
      const left = present(socket[IN_FLIGHT]) - 1;
      socket[IN_FLIGHT] = left;
      if (left === 0 && !socket.destroyed) this.waiting.add(socket);
    });
  }
}

/** The client's end of a connection. A socket that has been asked for it once still knows it when it is closed. */
function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
