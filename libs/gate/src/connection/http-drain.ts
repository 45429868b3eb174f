import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Knows which connections of an HTTP server have no whole request in hand. Node waits for them when the server is closed
 * (until `headersTimeout`), which would let one silent connection hold up the end of the process.
 */
export class HttpDrain {
  private readonly sockets = new Set<Socket>();
  private readonly onClose: (this: Socket) => void;

  constructor(private readonly server: Server) {
    const { sockets } = this;
    // One for all connections, and none for those that are upgraded: they may be many, and live long.
    this.onClose = function () {
      sockets.delete(this);
    };
    server.on('connection', this.onConnection);
    server.prependListener('request', this.onRequest);
  }

  /** Forgets a connection that has been upgraded. */
  release(socket: Socket): void {
    this.sockets.delete(socket);
    socket.off('close', this.onClose);
  }

  /** Cuts the connections that wait for a request. Requests in hand are answered. */
  close(): void {
    this.server.off('connection', this.onConnection);
    this.server.off('request', this.onRequest);
    for (const socket of this.sockets) socket.destroy();
  }

  private readonly onConnection = (socket: Socket): void => {
    this.sockets.add(socket);
    socket.on('close', this.onClose);
  };

  private readonly onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    this.sockets.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) this.sockets.add(socket);
    });
  };
}
