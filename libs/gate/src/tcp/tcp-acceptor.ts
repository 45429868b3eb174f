import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Inject, Injectable } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { type Defects, listenAlone, present } from '@nestgate/link/internal';
import { BoundedLog } from '@nestgate/worker/internal';
import { GateCounters } from '../gate-counters.js';
import { StartupWindow } from '../routing/startup-window.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Admission } from '../admission/admission.js';
import { Codecs, type StreamCodec } from '../codec/codec.js';
import { tooLargeReason } from '../connection/connection.js';
import { addressText, warnOfNode, warnOfPlaintext } from '../connection/listen-log.js';
import { RefusalLog } from '../admission/refusal-log.js';
import { SocketFastPath } from '@nestgate/link/internal';
import { ResumableSessions } from '../resume/resumable-sessions.js';
import { TcpConnection } from './tcp-connection.js';
import { loadTls, reloadOnHangup } from '../admission/tls-files.js';

/** Accepts TCP and TLS clients, when the options name a port for them. */
@Injectable()
export class TcpAcceptor {
  private readonly log = new BoundedLog(TcpAcceptor.name);
  private readonly refusals = new RefusalLog(TcpAcceptor.name);
  private readonly defects: Defects;
  private readonly tooLarge: string;
  private server: Server | undefined;
  private stopReload: (() => void) | undefined;
  /** Connections over TLS, those in their handshake included: no client of the gate yet, so that only this knows them. */
  private readonly secured = new Set<Socket>();
  private draining = false;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly admission: Admission,
    private readonly codecs: Codecs,
    private readonly sessions: ResumableSessions,
    private readonly counters: GateCounters,
    private readonly startup: StartupWindow,
    private readonly fastPath: SocketFastPath,
    node: LinkNode,
  ) {
    this.defects = node.defects;
    this.tooLarge = tooLargeReason(options.maxPackSize);
  }

  /** The port in use; `undefined` when TCP is off. */
  get port(): number | undefined {
    return (this.server?.address() as AddressInfo | null | undefined)?.port;
  }

  /** Listens, when the options name a port. */
  async open(): Promise<void> {
    const { tcp, tls } = this.options;
    if (!tcp) return;
    warnOfPlaintext(this.log, 'TCP', tcp.host, tls !== undefined, 'tls');
    const codec = this.codecs.streamCodec(tcp.codec);
    const server = tls ? this.createTlsServer(codec) : this.createPlainServer(codec);
    server.on('error', error => this.log.error(error));
    this.server = server;
    await listenAlone(server, tcp.port, tcp.host, 'tcp');
    warnOfNode(this.log, this.fastPath, server);
    this.log.log(`TCP clients (${tcp.codec}${tls ? ', TLS' : ''}) at ${addressText(server.address())}`);
  }

  /** Refuses new clients from now on. */
  drain(): void {
    this.draining = true;
  }

  async close(): Promise<void> {
    this.stopReload?.();
    const { server } = this;
    if (!server) return;
    const closed = new Promise<void>(resolve => server.close(() => resolve()));
    // The clients have been sent away by now. What is left would hold up the end until its handshake times out.
    for (const socket of this.secured) socket.destroy();
    await closed;
  }

  private createPlainServer(codec: StreamCodec): Server {
    const { bufSize } = this.options;
    return createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: bufSize }, socket => {
      this.guarded(socket, () => {
        if (this.admit(socket)) this.accept(socket, codec);
      });
    });
  }

  private createTlsServer(codec: StreamCodec): Server {
    const tls = present(this.options.tls);
    const { overTime, bufSize } = this.options;
    const server = createTlsServer({
      ...loadTls(tls),
      allowHalfOpen: true,
      noDelay: true,
      highWaterMark: bufSize,
      handshakeTimeout: overTime,
    });
    // Admitted before its TLS handshake, which is the expensive part.
    server.on('connection', (socket: Socket) => {
      this.guarded(socket, () => {
        if (!this.admit(socket)) return;
        this.secured.add(socket);
        socket.once('close', () => this.secured.delete(socket));
      });
    });
    server.on('secureConnection', (socket: TLSSocket) => this.guarded(socket, () => this.accept(socket, codec)));
    server.on('tlsClientError', (error: Error & { code?: string }, socket: TLSSocket) => {
      // A reset is a client that went away, or that was refused, and counted, before its handshake; or one whose certificate
      // Node did not accept.
      if (error.code !== 'ECONNRESET' || socket.authorizationError) this.counters.add('handshakes_refused', 'tls');
      // Node only reports a handshake timeout; the connection must be destroyed here.
      socket.destroy();
    });
    this.stopReload = reloadOnHangup(tls, server, this.log);
    return server;
  }

  /** Called by the server for each connection: what is thrown ends that one only. */
  private guarded(socket: Socket, accept: () => void): void {
    try {
      accept();
    } catch (error) {
      this.defects.report(error, 'tcp.accept');
      socket.destroy();
    }
  }

  private admit(socket: Socket): boolean {
    const ip = this.admission.addressOf(socket.remoteAddress, undefined);
    // An error without a listener would end the process; what follows is always a close.
    socket.on('error', () => undefined);
    const refusal = this.draining ? undefined : this.admission.enter(ip);
    if (this.draining || refusal) {
      this.counters.add('handshakes_refused', refusal?.status ?? 'draining');
      if (refusal?.hint !== undefined) this.refusals.add(refusal.status, refusal.hint);
      socket.destroy();
      return false;
    }
    socket.once('close', () => this.admission.leave(ip));
    return true;
  }

  private accept(socket: Socket, codec: StreamCodec): void {
    if (socket.destroyed) return;
    if (!this.startup.isOver) {
      this.hold(socket, codec);
      return;
    }
    if (this.draining) {
      // It was admitted before, and its TLS handshake has only ended now.
      this.counters.add('handshakes_refused', 'draining');
      socket.destroy();
      return;
    }
    const ip = this.admission.addressOf(socket.remoteAddress, undefined);
    socket.on('error', () => undefined);
    const connection = new TcpConnection(socket, ip, this.fastPath, codec.ping, this.tooLarge);
    const client = this.sessions.accept(connection, codec.wire, {}, undefined);
    connection.listen(
      client,
      codec.createSplitter(this.options.maxPackSize, message => client.onFrame(message)),
    );
  }

  /** Accepts a connection when the gate takes clients. It is not read until then. */
  private hold(socket: Socket, codec: StreamCodec): void {
    const timer = setTimeout(() => {
      this.counters.add('handshakes_refused', 'starting');
      socket.destroy();
    }, this.options.overTime);
    socket.once('close', () => clearTimeout(timer));
    void this.startup.whenOver().then(() => {
      clearTimeout(timer);
      this.guarded(socket, () => this.accept(socket, codec));
    });
  }
}
