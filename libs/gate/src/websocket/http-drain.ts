import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import { type Defects, present } from '@nestgate/link/internal';
import { SocketList } from './socket-list.js';

const IN_FLIGHT = Symbol('requests in flight');
/** Marks an upgraded connection: an answer that ends later does not add it again. */
const RELEASED = -1;

/** A connection with the number of its unanswered requests. */
interface Counting extends Socket {
  [IN_FLIGHT]?: number;
}

/**
 * Lists the connections of an HTTP server without a request in flight. When the server is closed, Node waits for them (until
 * `headersTimeout`, or the timeout of a TLS handshake), so that one silent connection would delay the end of the process.
 */
export class HttpDrain {
  private readonly waiting = new SocketList();
  /** The TCP connections below TLS connections whose handshake is not done, by the address of the client. */
  private readonly unsecured = new Map<string, Socket>();
  private readonly connected: 'connection' | 'secureConnection';
  // One listener for all connections. Upgraded connections have none, because they may be many and live long.
  private readonly onClose: (this: Socket) => void;
  private readonly onUnsecuredClose: (this: Socket) => void;

  private readonly onUnsecured: (socket: Socket) => void;
  private readonly onConnection: (socket: Socket) => void;
  private readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;

  /** `defects` receives exceptions of the listeners. */
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

  /** Number of connections that {@link close} would cut now. */
  get size(): number {
    return this.waiting.size + this.unsecured.size;
  }

  /** Removes a connection that was upgraded. */
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
      // With pipelining, the next request may have arrived before this one was answered.
      const left = present(socket[IN_FLIGHT]) - 1;
      socket[IN_FLIGHT] = left;
      if (left === 0 && !socket.destroyed) this.waiting.add(socket);
    });
  }
}

/** The address of the client. Node caches it in the socket once it was read, so that it is available after the close. */
function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
