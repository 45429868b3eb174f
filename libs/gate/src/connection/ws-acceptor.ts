import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer, type TLSSocket } from 'node:tls';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, HttpAdapterHost } from '@nestjs/core';
import { type Defects, LinkNode, listenAlone } from '@nestgate/link';
import { CLOSE, logText } from '@nestgate/protocol';
import { AppStart, BoundedLog } from '@nestgate/worker';
import { GateCounters } from '../gate-counters.js';
import { StartupWindow } from '../routing/startup-window.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import { Admission, type Refusal } from './admission.js';
import { ClientLifecycle } from './client-lifecycle.js';
import { Codecs } from './codec.js';
import { tooLargeReason } from './connection.js';
import { GateWsAdapter, refuseUpgrade } from './gate-ws-adapter.js';
import { checkOrigin, checkUpgrade, chooseCodec, isEndpoint, pathOf } from './handshake-check.js';
import { HttpDrain } from './http-drain.js';
import { type HandshakeOutcome, HandshakePipeline } from './handshake-pipeline.js';
import { addressText, warnOfPlaintext } from './listen-log.js';
import { compileOrigins, type Origins } from './origins.js';
import { RefusalLog } from './refusal-log.js';
import { shadowedGateways } from './shadowed-gateways.js';
import { SocketFastPath } from './socket-fast-path.js';
import { loadTls, reloadOnHangup } from './tls-files.js';
import type { Wire } from './wire.js';
import { asSocket, WsConnection, type WsConnectionHost } from './ws-connection.js';

/** A message in more fragments than this is an attack. */
const MAX_FRAGMENTS = 64;
/** How long a client may take to answer a close frame, in milliseconds. */
const CLOSE_HANDSHAKE_MS = 2_000;
const DEFAULT_CODEC = 'gate.json';
/** How the server of the app is encrypted. */
const HTTPS_REMEDY = 'httpsOptions of NestFactory.create';

/** Accepts WebSocket clients, on the HTTP server of the app or on a port of its own. */
@Injectable()
export class WsAcceptor implements OnModuleInit, OnApplicationBootstrap {
  private readonly log = new BoundedLog(WsAcceptor.name);
  private readonly refusals = new RefusalLog(WsAcceptor.name);
  private readonly origins: Origins;
  private readonly defects: Defects;
  private readonly subprotocols: ReadonlySet<string>;
  private stopReload: (() => void) | undefined;
  private server: HttpServer | undefined;
  private ownServer: HttpServer | undefined;
  private httpDrain: HttpDrain | undefined;
  private adapter: GateWsAdapter | undefined;
  private wss: ReturnType<GateWsAdapter['open']> | undefined;
  private readonly connectionHost: WsConnectionHost;
  private draining = false;
  private hasRoute = false;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly adapterHost: HttpAdapterHost,
    private readonly pipeline: HandshakePipeline,
    private readonly clients: ClientLifecycle,
    private readonly admission: Admission,
    private readonly codecs: Codecs,
    private readonly counters: GateCounters,
    private readonly startup: StartupWindow,
    private readonly discovery: DiscoveryService,
    private readonly start: AppStart,
    fastPath: SocketFastPath,
    node: LinkNode,
  ) {
    this.defects = node.defects;
    this.subprotocols = new Set(codecs.ws.keys());
    this.origins = compileOrigins(options.ws.origins);
    this.connectionHost = { leave: this.leave, tooLarge: tooLargeReason(options.maxPackSize), fastPath };
  }

  /** Answers plain HTTP requests to the endpoint, which would otherwise look as if nothing were there. */
  onModuleInit(): void {
    if (this.options.ws.port !== undefined || this.hasRoute) return;
    const http = this.adapterHost.httpAdapter;
    if (!http) return;
    // Nest may call this twice, and Fastify refuses a route that it has.
    this.hasRoute = true;
    const { path } = this.options.ws;
    const answer = (request: { method?: string; originalUrl?: string; url?: string }, response: unknown): void => {
      const asked = pathOf(request.originalUrl ?? request.url);
      // Routes of Express match in any case; upgrades do not.
      const status = isEndpoint(asked, path) ? 400 : 404;
      const message = status === 400 ? 'This is a WebSocket endpoint' : `Cannot ${request.method} ${asked}`;
      if (status === 400) this.counters.add('handshakes_refused', status);
      http.reply(response, { statusCode: status, message }, status);
    };
    http.all(path, answer);
    // Express takes the slash at the end as it is; Fastify does not.
    if (http.getType() !== 'express' && path !== '/')
      http.all(path.endsWith('/') ? path.slice(0, -1) : `${path}/`, answer);
  }

  /** Takes its place on the server of the app, when that has one. */
  onApplicationBootstrap(): void {
    if (this.server || this.options.ws.port !== undefined) return;
    const server = this.adapterHost.httpAdapter?.getHttpServer() as HttpServer | undefined;
    if (!server) return;
    this.attach(server);
    // The app listens later, and where is not known before.
    server.once('listening', this.noteListening);
    this.warnOfShadows();
  }

  /** Listens on a port of its own, when the options name one. */
  async open(): Promise<void> {
    const { port, host } = this.options.ws;
    if (port === undefined) {
      if (!this.server)
        this.log.warn('No WebSocket clients are accepted: the app has no HTTP server, and ws.port is not set');
      return;
    }
    warnOfPlaintext(this.log, 'WebSocket', host, this.options.tls !== undefined, 'tls');
    const server = (this.ownServer = this.createOwnServer());
    this.attach(server);
    await listenAlone(server, port, host, 'ws.port');
    this.logEndpoint(server);
  }

  private attach(server: HttpServer): void {
    this.server = server;
    limitHeaders(server, this.options.overTime);
    this.adapter = new GateWsAdapter(
      server,
      this.options.ws.path,
      (request, socket, head) => {
        this.upgrade(request, socket, head).catch((error: unknown) => {
          this.defects.report(error, 'ws.upgrade');
          socket.destroy();
        });
      },
      this.defects.guard('ws.stray', (socket, request) => this.refuse(socket, this.notFound(request))),
      this.defects.guard('ws.stray', socket => this.httpDrain?.release(asSocket(socket))),
      this.options.overTime,
    );
    server.on('clientError', this.onClientError);
    this.httpDrain = new HttpDrain(server, this.defects);
    this.wss = this.adapter.open({
      clientTracking: false,
      perMessageDeflate: false,
      // The connection answers pings itself: what `ws` writes would count for no limit.
      autoPong: false,
      maxPayload: this.options.maxPackSize,
      maxFragments: MAX_FRAGMENTS,
      closeTimeout: CLOSE_HANDSHAKE_MS,
      handleProtocols: (_offered: Set<string>, request: IncomingMessage) => this.chosen.get(request) ?? false,
    } as Parameters<GateWsAdapter['open']>[0]);
  }

  /** The port of the acceptor's own server; `undefined` on the server of the app. */
  get port(): number | undefined {
    const address = this.ownServer?.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  /** Refuses new clients from now on. */
  drain(): void {
    this.draining = true;
  }

  async close(): Promise<void> {
    this.httpDrain?.close();
    this.stopReload?.();
    this.adapter?.release();
    this.server?.off('clientError', this.onClientError);
    this.server?.off('listening', this.noteListening);
    this.wss?.close();
    const server = this.ownServer;
    if (server) await new Promise<void>(resolve => server.close(() => resolve()));
  }

  private readonly noteListening = (): void => {
    const { server } = this;
    if (!server) return;
    this.logEndpoint(server);
    const address = server.address();
    // Who has named proxies has thought of how clients come to them.
    if (typeof address !== 'object' || !address || this.options.trustedProxies.length > 0) return;
    warnOfPlaintext(this.log, 'WebSocket', address.address, server instanceof TlsServer, HTTPS_REMEDY);
  };

  private warnOfShadows(): void {
    const { path } = this.options.ws;
    for (const name of shadowedGateways(this.discovery, path)) {
      this.log.warn(
        `@WebSocketGateway ${name} gets no clients: its path ${path} is that of the gate. Change its path, or set ws.path or ws.port`,
      );
    }
  }

  private logEndpoint(server: HttpServer): void {
    const address = server.address();
    const scheme = (server instanceof TlsServer ? 'wss' : 'ws') + (typeof address === 'string' ? '+unix' : '');
    this.log.log(`WebSocket clients at ${scheme}://${addressText(address)}${this.options.ws.path}`);
  }

  /** What Node's parser refuses never becomes a request: it is answered and counted here. */
  private readonly onClientError = (error: Error & { code?: string }, socket: Duplex): void => {
    try {
      this.answerClientError(error, socket);
    } catch (defect) {
      this.defects.report(defect, 'ws.clientError');
      socket.destroy();
    }
  };

  private answerClientError(error: Error & { code?: string }, socket: Duplex): void {
    // The application answers on its own server.
    if (this.server && !this.ownServer && this.server.listenerCount('clientError') > 1) return;
    if (this.options.tls && this.ownServer && !this.secured.has(socket)) this.dropInsecure(error, socket as TLSSocket);
    else if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else this.refuse(socket, { status: STATUS_OF_PARSER[error.code ?? ''] ?? 400, message: 'Malformed request' });
  }

  /** The connections of the acceptor's own TLS server whose TLS handshake is done. */
  private readonly secured = new WeakSet<Duplex>();

  /** What has failed before that is no HTTP, and gets no answer. A reset is a client that went away. */
  private dropInsecure(error: Error & { code?: string }, socket: TLSSocket): void {
    if (error.code !== 'ECONNRESET' || socket.authorizationError) this.counters.add('handshakes_refused', 'tls');
    socket.destroy();
  }

  private readonly chosen = new WeakMap<IncomingMessage, string>();

  private async upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const socket = asSocket(stream);
    this.httpDrain?.release(socket);
    const ip = this.admission.addressOf(socket.remoteAddress, request.headers['x-forwarded-for'] as string | undefined);
    const codec = this.check(request);
    if (typeof codec !== 'string') return this.refuse(stream, codec);
    const full = this.admission.enter(ip);
    if (full) return this.refuse(stream, full);
    // Both until `ws` takes over, whose listeners live as long as the connection: these would keep the handshake with them.
    const leave = (): void => this.leave(ip);
    socket.on('close', leave);
    socket.on('error', ignore);

    // An app that was initialized, and whose server listens by other means than `app.listen()`.
    if (!this.start.isServing) await this.start.begin();
    const handshake = this.pipeline.requestOf(request, ip, codec);
    const outcome = await this.authenticate(handshake, socket);
    const refused = 'refused' in outcome ? outcome.refused : this.draining ? DRAINING : undefined;
    if (!socket.destroyed && refused) this.refuse(stream, refused);
    this.pipeline.finish(handshake, refused?.status ?? 101);
    if (socket.destroyed || refused || !('accepted' in outcome)) return;
    const result = outcome.accepted;
    if (request.headers['sec-websocket-protocol'] !== undefined) this.chosen.set(request, codec);
    this.wss?.handleUpgrade(request, stream, head, ws => {
      try {
        socket.setNoDelay(true);
        const connection = new WsConnection(ws, socket, ip, this.connectionHost);
        const agent = this.clients.connect(connection, this.codecs.ws.get(codec) as Wire, result, handshake);
        connection.listen(agent, codec !== DEFAULT_CODEC);
      } catch (error) {
        // Nobody listens to it: `leave` still does, for its end.
        this.defects.report(error, 'ws.accept');
        ws.on('error', ignore);
        ws.closeNow(CLOSE.internal.code, CLOSE.internal.reason);
        return;
      }
      socket.off('error', ignore);
      socket.off('close', leave);
    });
  }

  private check(request: IncomingMessage): string | Refusal {
    if (this.draining) return DRAINING;
    if (!this.start.isInitialized) return STARTING;
    return (
      checkUpgrade(request) ??
      checkOrigin(request, this.origins) ??
      chooseCodec(request, this.subprotocols, DEFAULT_CODEC)
    );
  }

  private readonly leave = (ip: string): void => this.admission.leave(ip);

  private async authenticate(request: HandshakeRequest, socket: Socket): Promise<HandshakeOutcome> {
    let giveUp = ignore;
    const late = new Promise<HandshakeOutcome>(resolve => {
      giveUp = () => resolve({ refused: TOO_SLOW });
    });
    const timer = setTimeout(giveUp, this.options.overTime);
    // A client that is gone needs no answer, and no timer.
    socket.once('close', giveUp);
    try {
      const { startup } = this;
      const ended = startup.isOver ? undefined : await Promise.race([startup.whenOver(), late]);
      return ended ?? (await Promise.race([this.pipeline.handshake(request), late]));
    } finally {
      clearTimeout(timer);
      socket.off('close', giveUp);
    }
  }

  private notFound(request: IncomingMessage): Refusal {
    const path = logText(pathOf(request.url));
    return { status: 404, message: 'Not found', hint: `path ${path}, endpoint ${this.options.ws.path}: see ws.path` };
  }

  private refuse(socket: Duplex, refusal: Refusal): void {
    this.counters.add('handshakes_refused', refusal.status);
    if (refusal.hint !== undefined) this.refusals.add(refusal.status, refusal.hint);
    refuseUpgrade(socket, refusal);
  }

  private createOwnServer(): HttpServer {
    const { tls } = this.options;
    if (!tls) return createServer(notFound);
    const server = createHttpsServer({ ...loadTls(tls), handshakeTimeout: this.options.overTime }, notFound);
    server.on('secureConnection', socket => this.secured.add(socket));
    this.stopReload = reloadOnHangup(tls, server, this.log);
    return server;
  }
}

const STATUS_OF_PARSER: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
const TOO_SLOW: Refusal = {
  status: 408,
  message: 'The handshake took too long',
  hint: 'the handshake took too long: see overTime',
};
const DRAINING: Refusal = {
  status: 503,
  message: 'The gate is shutting down',
  hint: 'the gate is shutting down: clients should come to another one',
};

const STARTING: Refusal = { status: 503, message: 'The gate is starting', hint: 'the gate is starting' };

type CheckingServer = HttpServer & { connectionsCheckingInterval?: number };

/**
 * Headers must arrive in time, and Node checks that every 30 s unless told otherwise. What the application has set on its
 * server, stricter or not, stays.
 */
function limitHeaders(server: CheckingServer, ms: number): void {
  const plain: CheckingServer = createServer();
  if (server.headersTimeout === plain.headersTimeout) server.headersTimeout = Math.min(ms, plain.headersTimeout);
  if (server.connectionsCheckingInterval === plain.connectionsCheckingInterval) {
    server.connectionsCheckingInterval = 1_000;
  }
}

const ignore = (): void => undefined;

function notFound(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(404).end();
}
