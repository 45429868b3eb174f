import type { Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Defects } from '@nestgate/link/internal';
import type { Refusal } from '../admission/admission.js';

type ClientError = Error & { code?: string };

const STATUS_OF_PARSER: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Answers, and counts, what Node's HTTP parser refuses: it never becomes a request. */
export class HttpErrors {
  /** The connections of the acceptor's own TLS server whose TLS handshake is done. */
  private readonly secured = new WeakSet<Duplex>();

  constructor(
    private readonly server: HttpServer,
    /** Whether the server is the acceptor's own, and not that of the application. */
    private readonly isOwn: boolean,
    private readonly defects: Defects,
    private readonly refuse: (socket: Duplex, refusal: Refusal) => void,
    /** A TLS handshake has failed, and the client has not just gone away. */
    private readonly onInsecure: () => void,
  ) {
    if (isOwn && server instanceof TlsServer) server.on('secureConnection', socket => this.secured.add(socket));
    server.on('clientError', this.onClientError);
  }

  /** Takes its listener off the server. */
  close(): void {
    this.server.off('clientError', this.onClientError);
  }

  private readonly onClientError = (error: ClientError, socket: Duplex): void => {
    try {
      this.answer(error, socket);
    } catch (defect) {
      this.defects.report(defect, 'ws.clientError');
      socket.destroy();
    }
  };

  private answer(error: ClientError, socket: Duplex): void {
    // The application answers on its own server.
    if (!this.isOwn && this.server.listenerCount('clientError') > 1) return;
    const isInsecure = this.isOwn && this.server instanceof TlsServer && !this.secured.has(socket);
    if (isInsecure) this.dropInsecure(error, socket as TLSSocket);
    else if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else this.refuse(socket, { status: STATUS_OF_PARSER[error.code ?? ''] ?? 400, message: 'Malformed request' });
  }

  /** What has failed before that is no HTTP, and gets no answer. A reset is a client that went away. */
  private dropInsecure(error: ClientError, socket: TLSSocket): void {
    if (error.code !== 'ECONNRESET' || socket.authorizationError) this.onInsecure();
    socket.destroy();
  }
}
