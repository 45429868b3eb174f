import { Server as HttpServer, type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WsAdapter } from '@nestjs/platform-ws';
import type { ServerOptions, WebSocketServer } from 'ws';
import type { Refusal } from './admission.js';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Puts the gate's endpoint on an HTTP server beside whatever listens for upgrades there: `@WebSocketGateway`s of the
 * application, on `ws` or socket.io. Their adapters destroy or time out sockets on paths they do not know, so this one
 * stands before them, and hands on every upgrade that is not the gate's.
 */
export class GateWsAdapter extends WsAdapter {
  constructor(
    private readonly server: HttpServer,
    private readonly path: string,
    private readonly onUpgrade: UpgradeHandler,
    /** Answers an upgrade on a path where nobody is. */
    private readonly onStray: (socket: Duplex) => void,
  ) {
    super(server);
  }

  /** Takes the endpoint's place on the server, and makes the WebSocket server that will speak there. */
  open(options: ServerOptions): WebSocketServer {
    return this.create(0, { ...options, path: this.path }) as WebSocketServer;
  }

  protected override ensureHttpServerExists(): HttpServer {
    const others = this.server.listeners('upgrade') as UpgradeHandler[];
    this.server.removeAllListeners('upgrade');
    const dispatch: UpgradeHandler = (request, socket, head) => {
      if (pathOf(request.url) === this.path) this.onUpgrade(request, socket, head);
      else if (others.length > 0) for (const other of others) other.call(this.server, request, socket, head);
      else this.onStray(socket);
    };
    this.server.on('upgrade', dispatch);
    this.release = () => {
      this.server.off('upgrade', dispatch);
      for (const other of others) this.server.on('upgrade', other);
    };
    return this.server;
  }

  /** Gives the server back to the others. */
  release: () => void = () => undefined;
}

/** How long a client whose upgrade was refused may take to close its side, in milliseconds. */
const REFUSED_MS = 500;

/** Answers an upgrade with an HTTP error, and closes. */
export function refuseUpgrade(socket: Duplex, { status, message }: Refusal): void {
  const body = JSON.stringify({ statusCode: status, message });
  socket.on('error', () => socket.destroy());
  // Nobody reads this socket any more, so its end would never be seen behind what the client still sends.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n` +
      'Connection: close\r\nContent-Type: application/json; charset=utf-8\r\n' +
      (status === 503 || status === 429 ? 'Retry-After: 1\r\n' : '') +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function pathOf(url = '/'): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}
