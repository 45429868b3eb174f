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
 * Adds the endpoint of the gate to an HTTP server that may have other upgrade listeners: `@WebSocketGateway`s on `ws` or socket.io, and
 * other WebSocket servers of the application. They may be added before or after the start of the gate.
 *
 * Such listeners destroy, answer or time out sockets on paths that they do not know. Upgrades to the gate must therefore not reach
 * them. The adapter intercepts the `upgrade` event of the server: an upgrade on the path of the gate goes only to the gate, every other
 * one unchanged to the listeners that the server has at that moment.
 */
export class GateWsAdapter extends WsAdapter {
  constructor(
    private readonly server: HttpServer,
    private readonly path: string,
    private readonly onUpgrade: UpgradeHandler,
    /** Answers an upgrade on a path without a listener. */
    private readonly onStray: (socket: Duplex, request: IncomingMessage) => void,
    /** Called before an upgrade is passed to the other listeners. */
    private readonly onForeign: (socket: Duplex) => void = () => undefined,
    /** How long the other listeners may take to answer an upgrade, in milliseconds. After that `onStray` answers it. */
    private readonly answerMs: number = 10_000,
  ) {
    super(server);
  }

  /**
   * Intercepts the upgrades of the server, and creates the WebSocket server of the endpoint.
   * @throws {Error} when the installed `ws` is too old.
   */
  open(options: ServerOptions): WsServer<typeof ClientSocket> {
    assertWsVersion();
    this.takeUpgrades();
    return this.create(0, options);
  }

  /** Creates a server with the `ws` of the gate. The base class would use the older `ws` that `@nestjs/platform-ws` pins. */
  override create(_port: number, options: ServerOptions = {}): WsServer<typeof ClientSocket> {
    const server: WsServer<typeof ClientSocket> = new WebSocketServer({
      ...options,
      WebSocket: ClientSocket,
      noServer: true,
    });
    this.bindErrorHandler(server);
    return server;
  }

  /** Stops intercepting the upgrades of the server. */
  release: () => void = () => undefined;

  private takeUpgrades(): void {
    const { server } = this;
    const emitter = server as { emit: Emit };
    const wasOwn = Object.hasOwn(server, 'emit');
    const before = emitter.emit;
    let isReleased = false;
    // Called for every event of the server, with the arguments of `emit`.
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
    // Without a listener for `upgrade`, Node handles an upgrade as a plain request.
    server.on('upgrade', this.marker);
    this.release = () => {
      isReleased = true;
      server.off('upgrade', this.marker);
      // If other code has wrapped `emit` since, it stays, and calls `before` through this function.
      if (emitter.emit !== emit) return;
      if (wasOwn) emitter.emit = before;
      else Reflect.deleteProperty(server, 'emit');
    };
  }

  private readonly marker = (): void => undefined;

  private hasOthers(): boolean {
    return this.server.listeners('upgrade').some(listener => listener !== this.marker);
  }

  /** A listener may answer later, or ignore the upgrade. An upgrade without an answer after `answerMs` was ignored by all of them. */
  private handOn(request: IncomingMessage, socket: Socket, emit: () => void): void {
    const { bytesWritten } = socket;
    const isAnswered = (): boolean => socket.destroyed || !socket.writable || socket.bytesWritten !== bytesWritten;
    this.onForeign(socket);
    emit();
    if (isAnswered()) return;
    // Node has removed its own `error` listener: without one, a reset would end the process.
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
  // Without reading, the end of the client's data would never be detected.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.end(body);
}
