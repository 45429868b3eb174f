import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const PLACE = Symbol('place');
/** The place of a connection that is not to be listed again. */
const RELEASED = -1;

/** A connection that knows its place in the list, while it has one. */
interface Listed extends Socket {
  [PLACE]?: number | undefined;
}

/**
 * Knows which connections of an HTTP server have no whole request in hand. Node waits for them when the server is closed
 * (until `headersTimeout`), which would let one silent connection hold up the end of the process.
 */
export class HttpDrain {
  /**
   * In no order, and only as far as `count`. A `Set` through which so many sockets pass leaves a table behind each time it is full of
   * gaps: such tables grow old, and what they held does with them, though it is closed.
   */
  private readonly waiting: (Listed | undefined)[] = [];
  private count = 0;
  private readonly onClose: (this: Socket) => void;

  constructor(private readonly server: Server) {
    const remove = (socket: Socket): void => this.remove(socket);
    // One for all connections, and none for those that are upgraded: they may be many, and live long.
    this.onClose = function () {
      remove(this);
    };
    server.on('connection', this.onConnection);
    server.prependListener('request', this.onRequest);
  }

  /** Forgets a connection that has been upgraded, also when the answer to an earlier request ends later. */
  release(socket: Listed): void {
    this.remove(socket);
    socket[PLACE] = RELEASED;
    socket.off('close', this.onClose);
  }

  /** Cuts the connections that wait for a request. Requests in hand are answered. */
  close(): void {
    this.server.off('connection', this.onConnection);
    this.server.off('request', this.onRequest);
    for (const socket of this.waiting.slice(0, this.count)) socket?.destroy();
  }

  private add(socket: Listed): void {
    if (socket[PLACE] !== undefined) return;
    socket[PLACE] = this.count;
    this.waiting[this.count++] = socket;
  }

  private remove(socket: Listed): void {
    const place = socket[PLACE];
    if (place === undefined || place === RELEASED) return;
    socket[PLACE] = undefined;
    const last = this.waiting[--this.count] as Listed;
    this.waiting[this.count] = undefined;
    if (last === socket) return;
    this.waiting[place] = last;
    last[PLACE] = place;
  }

  private readonly onConnection = (socket: Socket): void => {
    this.add(socket);
    socket.on('close', this.onClose);
  };

  private readonly onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    this.remove(socket);
    response.once('close', () => {
      if (!socket.destroyed) this.add(socket);
    });
  };
}
