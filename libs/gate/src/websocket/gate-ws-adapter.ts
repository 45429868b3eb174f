import { Server as HttpServer, type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WsAdapter } from '@nestjs/platform-ws';
import { type Server as WsServer, type ServerOptions, WebSocketServer } from 'ws';
import type { Refusal } from '../admission/admission.js';
import { isEndpoint, pathOf } from '../admission/handshake-check.js';
import { assertWsVersion } from '../internals/ws.js';
import { ClientSocket } from './client-socket.js';

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

type Emit = (...args: [event: string, ...unknown[]]) => boolean;

/**
 * Puts the gate's endpoint on an HTTP server beside other listeners for upgrades: `@WebSocketGateway`s of the application, on
 * `ws` or socket.io, and servers of its own. They may be added before or after the gate starts.
 *
 * Such listeners destroy, answer or time out sockets on paths they do not know, so that the gate's upgrades must not reach
 * them. The adapter therefore takes the server's `upgrade` event itself: an upgrade on the gate's path goes to the gate only,
 * every other one to the listeners that the server has at that moment, unchanged.
 */
export class GateWsAdapter extends WsAdapter {
  constructor(
    private readonly server: HttpServer,
    private readonly path: string,
    private readonly onUpgrade: UpgradeHandler,
    /** Answers an upgrade on a path where nobody is. */
    private readonly onStray: (socket: Duplex, request: IncomingMessage) => void,
    /** Called before an upgrade is handed to the other listeners. */
    private readonly onForeign: (socket: Duplex) => void = () => undefined,
    /** How long the other listeners may take to answer an upgrade, in milliseconds; then it is a stray one. */
    private readonly answerMs: number = 10_000,
  ) {
    super(server);
  }

  /**
   * Takes the endpoint's place on the server, and makes the WebSocket server that will speak there.
   * @throws {Error} when the installed `ws` is too old.
   */
  open(options: ServerOptions): WsServer<typeof ClientSocket> {
    assertWsVersion();
    this.takeUpgrades();
    return this.create(0, options);
  }

  /** Makes a server of the gate's own `ws`: the one that the base class would make is of the older `ws` that it pins. */
  override create(_port: number, options: ServerOptions = {}): WsServer<typeof ClientSocket> {
    const server: WsServer<typeof ClientSocket> = new WebSocketServer({
      ...options,
      WebSocket: ClientSocket,
      noServer: true,
    });
    this.bindErrorHandler(server);
    return server;
  }

  /** Gives the upgrades of the server back. */
  release: () => void = () => undefined;

  private takeUpgrades(): void {
    const { server } = this;
    const emitter = server as { emit: Emit };
    const wasOwn = Object.hasOwn(server, 'emit');
    const before = emitter.emit;
    let isReleased = false;
    // All events of the server pass here: one list of arguments for each, as `emit` itself has.
    const emit: Emit = (...args) => {
      if (args[0] !== 'upgrade' || isReleased) return Reflect.apply(before, server, args);
      const request = args[1] as IncomingMessage;
      const socket = args[2] as Socket;
      if (isEndpoint(pathOf(request.url), this.path)) this.onUpgrade(request, socket, args[3] as Buffer);
      else if (this.hasOthers()) this.handOn(request, socket, () => Reflect.apply(before, server, args));
      else this.onStray(socket, request);
      return true;
    };
    emitter.emit = emit;
    // Node treats an upgrade as a plain request while nobody listens for it.
    server.on('upgrade', this.marker);
    this.release = () => {
      isReleased = true;
      server.off('upgrade', this.marker);
      // What has been put around it meanwhile stays, and calls through.
      if (emitter.emit !== emit) return;
      if (wasOwn) emitter.emit = before;
      else Reflect.deleteProperty(server, 'emit');
    };
  }

  private readonly marker = (): void => undefined;

  private hasOthers(): boolean {
    return this.server.listeners('upgrade').some(listener => listener !== this.marker);
  }

  /** A listener may answer later, or leave the upgrade to another one: which it is shows by whether it is answered in time. */
  private handOn(request: IncomingMessage, socket: Socket, emit: () => void): void {
    const { bytesWritten } = socket;
    const isAnswered = (): boolean => socket.destroyed || !socket.writable || socket.bytesWritten !== bytesWritten;
    this.onForeign(socket);
    emit();
    if (isAnswered()) return;
    // Node has taken its own listener off: a reset would end the process.
    socket.on('error', () => socket.destroy());
    const timer = setTimeout(() => {
      if (!isAnswered()) this.onStray(socket, request);
    }, this.answerMs);
    socket.once('close', () => clearTimeout(timer));
  }
}

/** How long a client whose upgrade was refused may take to close its side, in milliseconds. */
const REFUSED_MS = 500;

/** Answers an upgrade with an HTTP error, and closes. */
export function refuseUpgrade(socket: Duplex, { status, message, headers = {}, body: own }: Refusal): void {
  const body = own ?? JSON.stringify({ statusCode: status, message });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    `Connection: ${'Upgrade' in headers ? 'Upgrade, close' : 'close'}`,
    ...Object.entries(headers).flatMap(([name, value]) => [value].flat().map(single => `${name}: ${single}`)),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  const has = (name: string): boolean => Object.keys(headers).some(each => each.toLowerCase() === name);
  if (own === undefined && !has('content-type')) lines.push('Content-Type: application/json; charset=utf-8');
  if ((status === 503 || status === 429) && !has('retry-after')) lines.push('Retry-After: 1');
  socket.on('error', () => socket.destroy());
  // Nobody reads this socket any more, so its end would never be seen behind what the client still sends.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.end(body);
}
