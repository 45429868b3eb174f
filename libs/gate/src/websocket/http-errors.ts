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

/** Answers and counts input that Node's HTTP parser rejects, and that therefore never becomes a request. */
export class HttpErrors {
  /** The connections of the acceptor's own TLS server whose TLS handshake is done. */
  private readonly secured = new WeakSet<Duplex>();

  constructor(
    private readonly server: HttpServer,
    /** Whether the server belongs to the acceptor, and not to the application. */
    private readonly isOwn: boolean,
    private readonly defects: Defects,
    private readonly refuse: (socket: Duplex, refusal: Refusal) => void,
    /** A TLS handshake has failed for another reason than a disconnect of the client. */
    private readonly onInsecure: () => void,
  ) {
    if (isOwn && server instanceof TlsServer) server.on('secureConnection', socket => this.secured.add(socket));
    server.on('clientError', this.onClientError);
  }

  /** Removes the listener from the server. */
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
    // On a server of the application, the application answers.
    if (!this.isOwn && this.server.listenerCount('clientError') > 1) return;
    const isInsecure = this.isOwn && this.server instanceof TlsServer && !this.secured.has(socket);
    if (isInsecure) this.dropInsecure(error, socket as TLSSocket);
    else if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else this.refuse(socket, { status: STATUS_OF_PARSER[error.code ?? ''] ?? 400, message: 'Malformed request' });
  }

  /** Before the TLS handshake is done there is no HTTP, so that no answer is possible. A reset means that the client has disconnected. */
  private dropInsecure(error: ClientError, socket: TLSSocket): void {
    if (error.code !== 'ECONNRESET' || socket.authorizationError) this.onInsecure();
    socket.destroy();
  }
}
