import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer } from 'node:tls';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, HttpAdapterHost } from '@nestjs/core';
import { LinkNode } from '@nestgate/link';
import { type Defects, listenAlone, present } from '@nestgate/link/internal';
import { CLOSE, logText } from '@nestgate/protocol';
import { AppStart, BoundedLog } from '@nestgate/worker/internal';
import { GateCounters } from '../gate-counters.js';
import { StartupWindow } from '../routing/startup-window.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeResult } from '../hooks/handshake-handler.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import { Admission, type Refusal } from '../admission/admission.js';
import { Codecs } from '../codec/codec.js';
import { ResumableSessions } from '../resume/resumable-sessions.js';
import { tooLargeReason } from '../connection/connection.js';
import { GateWsAdapter, refuseUpgrade } from './gate-ws-adapter.js';
import { checkOrigin, checkUpgrade, chooseCodec, pathOf } from '../admission/handshake-check.js';
import { addEndpointRoute } from './endpoint-route.js';
import { HttpDrain } from './http-drain.js';
import { HttpErrors } from './http-errors.js';
import { limitHeaders } from '../internals/node.js';
import { wsFaults, wsVersion } from '../internals/ws.js';
import { type HandshakeOutcome, HandshakePipeline } from '../admission/handshake-pipeline.js';
import { addressText, warnOfNode, warnOfPlaintext } from '../connection/listen-log.js';
import { compileOrigins, type Origins } from '../admission/origins.js';
import { RefusalLog } from '../admission/refusal-log.js';
import { warnOfShadows } from './shadowed-gateways.js';
import { SocketFastPath } from '@nestgate/link/internal';
import { DRAINING, STARTING, TOO_SLOW } from '../admission/upgrade-refusals.js';
import { loadTls, reloadOnHangup } from '../admission/tls-files.js';
import { asSocket, WsConnection, type WsConnectionHost } from './ws-connection.js';

/** A message in more fragments than this is an attack. */
const MAX_FRAGMENTS = 64;
/** How long a client may take to answer a close frame, in milliseconds. */
const CLOSE_HANDSHAKE_MS = 2_000;
const DEFAULT_CODEC = 'gate.json';
/** How to encrypt the server of the app. */
const HTTPS_REMEDY = 'httpsOptions of NestFactory.create';

/** An upgrade that has been checked and admitted. */
interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly ip: string;
  readonly codec: string;
}

/** Accepts WebSocket clients, on the HTTP server of the app or on a separate port. */
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
  private httpErrors: HttpErrors | undefined;
  private adapter: GateWsAdapter | undefined;
  private wss: ReturnType<GateWsAdapter['open']> | undefined;
  private readonly connectionHost: WsConnectionHost;
  private draining = false;
  private hasRoute = false;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly adapterHost: HttpAdapterHost,
    private readonly pipeline: HandshakePipeline,
    private readonly sessions: ResumableSessions,
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

  /** Adds a route that answers plain HTTP requests to the endpoint, so that the answer is not 404. */
  onModuleInit(): void {
    if (this.options.ws.port !== undefined || this.hasRoute) return;
    const http = this.adapterHost.httpAdapter;
    if (!http) return;
    // Nest may call this twice, and Fastify refuses a route that it has.
    this.hasRoute = true;
    addEndpointRoute(http, this.options.ws.path, status => this.counters.add('handshakes_refused', status));
  }

  /** Adds the endpoint to the HTTP server of the app, if there is one. */
  onApplicationBootstrap(): void {
    if (this.server || this.options.ws.port !== undefined) return;
    const server = this.adapterHost.httpAdapter?.getHttpServer() as HttpServer | undefined;
    if (!server) return;
    this.attach(server);
    // The app listens later; its address is not known before.
    server.once('listening', this.noteListening);
    warnOfShadows(this.log, this.discovery, this.options.ws.path);
  }

  /** Listens on `ws.port`, if it is set. */
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
    for (const fault of wsFaults()) this.log.warn(`ws ${wsVersion()} is not as expected inside. ${fault}`);
    this.adapter = new GateWsAdapter(
      server,
      this.options.ws.path,
      (request, socket, head) => {
        try {
          this.upgrade(request, socket, head);
        } catch (error) {
          this.fail(error, socket);
        }
      },
      this.defects.guard('ws.stray', (socket, request) => this.refuse(socket, this.notFound(request))),
      this.defects.guard('ws.stray', socket => this.httpDrain?.release(asSocket(socket))),
      this.options.overTime,
    );
    this.httpErrors = new HttpErrors(server, this.ownServer === server, this.defects, this.refuse, () =>
      this.counters.add('handshakes_refused', 'tls'),
    );
    this.httpDrain = new HttpDrain(server, this.defects);
    this.wss = this.adapter.open({
      clientTracking: false,
      perMessageDeflate: false,
      // The connection answers pings itself: pongs that `ws` writes would not count for any limit.
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
    this.httpErrors?.close();
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
    // With `trustedProxies`, a proxy is in front of this port: its operator decides about TLS.
    if (typeof address !== 'object' || !address || this.options.trustedProxies.length > 0) return;
    warnOfPlaintext(this.log, 'WebSocket', address.address, server instanceof TlsServer, HTTPS_REMEDY);
  };

  private logEndpoint(server: HttpServer): void {
    warnOfNode(this.log, this.connectionHost.fastPath, server);
    const address = server.address();
    const scheme = (server instanceof TlsServer ? 'wss' : 'ws') + (typeof address === 'string' ? '+unix' : '');
    this.log.log(`WebSocket clients at ${scheme}://${addressText(address)}${this.options.ws.path}`);
  }

  private readonly chosen = new WeakMap<IncomingMessage, string>();

  private fail(error: unknown, socket: Duplex): void {
    this.defects.report(error, 'ws.upgrade');
    socket.destroy();
  }

  private upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const socket = asSocket(stream);
    this.httpDrain?.release(socket);
    const ip = this.admission.addressOf(socket.remoteAddress, request.headers['x-forwarded-for'] as string | undefined);
    const codec = this.check(request);
    if (typeof codec !== 'string') return this.refuse(stream, codec);
    const full = this.admission.enter(ip);
    if (full) return this.refuse(stream, full);
    const upgrade: Upgrade = { request, socket, head, ip, codec };
    if (this.start.isServing && this.startup.isOver && this.pipeline.isOpen) this.acceptAtOnce(upgrade);
    else this.acceptLater(upgrade).catch((error: unknown) => this.fail(error, socket));
  }

  /** Accepts a client without code of the application, synchronously: a promise and a timer would be a third of the cost. */
  private acceptAtOnce(upgrade: Upgrade): void {
    const { request, socket, ip, codec } = upgrade;
    const traceParent = request.headers['traceparent'] as string | undefined;
    let isAccepted = false;
    // The answer to the upgrade and the first frame are sent in one write.
    socket.cork();
    try {
      const handshake = this.sessions.readsRequests ? this.pipeline.requestOf(request, ip, codec) : undefined;
      isAccepted = this.accept(upgrade, { traceParent }, handshake);
    } finally {
      socket.uncork();
      // An accepted connection reports its own end.
      if (!isAccepted) this.leaveAtClose(socket, ip);
    }
  }

  private async acceptLater(upgrade: Upgrade): Promise<void> {
    const { request, socket, ip, codec } = upgrade;
    // Only until `ws` adds its listeners: these listeners would retain the handshake as long as the connection lives.
    const stop = this.leaveAtClose(socket, ip);
    // The app was initialized, but its server listens without `app.listen()`.
    if (!this.start.isServing) await this.start.begin();
    const handshake = this.pipeline.requestOf(request, ip, codec);
    const outcome = await this.authenticate(handshake, socket);
    const refused = 'refused' in outcome ? outcome.refused : this.draining ? DRAINING : undefined;
    if (!socket.destroyed && refused) this.refuse(socket, refused);
    this.pipeline.finish(handshake, refused?.status ?? 101);
    if (socket.destroyed || refused || !('accepted' in outcome)) return;
    if (this.accept(upgrade, outcome.accepted, handshake)) stop();
  }

  /** Calls {@link leave} at the end of a connection. Returns a function that cancels this. */
  private leaveAtClose(socket: Socket, ip: string): () => void {
    const leave = (): void => this.leave(ip);
    socket.on('close', leave);
    socket.on('error', ignore);
    return () => {
      socket.off('error', ignore);
      socket.off('close', leave);
    };
  }

  /** Creates the client of an upgrade. False when the connection ends instead, and has no listener for its end. */
  private accept(
    { request, socket, head, ip, codec }: Upgrade,
    result: HandshakeResult,
    handshake: HandshakeRequest | undefined,
  ): boolean {
    let isAccepted = false;
    if (request.headers['sec-websocket-protocol'] !== undefined) this.chosen.set(request, codec);
    this.wss?.handleUpgrade(request, socket, head, ws => {
      try {
        socket.setNoDelay(true);
        const connection = new WsConnection(ws, socket, ip, this.connectionHost);
        const client = this.sessions.accept(connection, present(this.codecs.ws.get(codec)), result, handshake);
        connection.listen(client, !codec.startsWith(DEFAULT_CODEC));
        isAccepted = true;
      } catch (error) {
        this.defects.report(error, 'ws.accept');
        ws.on('error', ignore);
        ws.closeNow(CLOSE.internal.code, CLOSE.internal.reason);
      }
    });
    return isAccepted;
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
    // A client that has disconnected needs no answer and no timer.
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

  private readonly refuse = (socket: Duplex, refusal: Refusal): void => {
    this.counters.add('handshakes_refused', refusal.status);
    if (refusal.hint !== undefined) this.refusals.add(refusal.status, refusal.hint);
    refuseUpgrade(socket, refusal);
  };

  private createOwnServer(): HttpServer {
    const { tls } = this.options;
    if (!tls) return createServer(notFound);
    const server = createHttpsServer({ ...loadTls(tls), handshakeTimeout: this.options.overTime }, notFound);
    this.stopReload = reloadOnHangup(tls, server, this.log);
    return server;
  }
}

const ignore = (): void => undefined;

function notFound(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(404).end();
}
