import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  TLSSocket,
} from 'node:tls';
import { GateError } from '@nestgate/protocol';
import { nameOf, type TcpTlsOptions } from './tcp-address.js';
import type { Connect } from './tcp-dialer.js';
import { messageOf } from '../../../common/checked.js';

/** How often it is looked whether the files have changed, at most, in milliseconds. */
const LOOK_MS = 1_000;
const BINDING_BYTES = 32;
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE';

/** The files of one node, and connections that use them. Files that are renewed are used for new connections. */
export class TcpTls {
  private files: SecureContextOptions;
  private context: SecureContext;
  private signature: string;
  private lookedAt = performance.now();
  private server: Server | undefined;

  /** @throws {GateError} `BAD_ARGUMENT` naming the option whose file cannot be read or used. */
  constructor(private readonly options: TcpTlsOptions) {
    this.signature = this.sign();
    this.files = this.read();
    this.context = createSecureContext(this.files);
  }

  /** Makes what dials: connections whose certificate is not taken end, and `onDistrust` is told why. */
  dialer(onDistrust: (why: string) => void): Connect {
    return ({ host, port, name }, onConnect) => {
      this.refresh();
      const socket = connect({
        host,
        port,
        secureContext: this.context,
        rejectUnauthorized: true,
        servername: isIP(name) === 0 ? name : '',
        checkServerIdentity: (_host, certificate) =>
          this.options.checkHost ? checkServerIdentity(name, certificate) : undefined,
      });
      socket.once('secureConnect', () => onConnect(socket));
      return socket.once('close', () => {
        const why = distrustOf(socket);
        if (why !== undefined) onDistrust(`The certificate of ${name}:${port} is not trusted: ${why}`);
      });
    };
  }

  /**
   * Makes what encrypts accepted connections. Those whose certificate was taken go to `onSecure`, the others to `onRefused`,
   * with why. How long they may take is the caller's matter.
   */
  createAcceptor(
    onSecure: (socket: Socket) => void,
    onRefused: (reason: 'unauthorized' | 'corrupt' | 'ended', who: string) => void,
  ): (socket: Socket) => void {
    const server = createServer({ ...this.files, requestCert: true, rejectUnauthorized: true }, onSecure);
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      const who = nameOf({ host: socket.remoteAddress ?? 'unknown', port: socket.remotePort ?? 0 });
      socket.destroy();
      if (distrustOf(socket) !== undefined || error.code === NO_CERTIFICATE) onRefused('unauthorized', who);
      else onRefused(error.code?.startsWith('ERR_SSL') ? 'corrupt' : 'ended', who);
    });
    this.server = server;
    return socket => {
      this.refresh();
      server.emit('connection', socket);
    };
  }

  /** What only the two ends of a connection know; `undefined` for one that is not encrypted. */
  static bindingOf(socket: Socket): Buffer | undefined {
    if (!(socket instanceof TLSSocket) || socket.destroyed) return undefined;
    return socket.exportKeyingMaterial(BINDING_BYTES, 'EXPORTER-nestgate-link', Buffer.alloc(0));
  }

  /** Reads the files again when they have changed. While they cannot be used, the old ones stay. */
  private refresh(): void {
    const now = performance.now();
    if (now - this.lookedAt < LOOK_MS) return;
    this.lookedAt = now;
    try {
      const signature = this.sign();
      if (signature === this.signature) return;
      const files = this.read();
      this.context = createSecureContext(files);
      this.server?.setSecureContext(files);
      this.files = files;
      this.signature = signature;
    } catch {
      // Files that belong together are rarely renewed at once.
    }
  }

  private read(): SecureContextOptions {
    const { caFile, certFile, keyFile } = this.options;
    const files: SecureContextOptions = {
      cert: use('cert', certFile, pem => new X509Certificate(pem)),
      key: use('key', keyFile, key => createSecureContext({ key })),
      // Without any certificate in it, a list of authorities would be an empty one.
      ca: use('ca', caFile, pem => new X509Certificate(pem)),
      minVersion: 'TLSv1.3',
    };
    use('key', keyFile, () => createSecureContext(files));
    return files;
  }

  private sign(): string {
    const { caFile, certFile, keyFile } = this.options;
    return [certFile, keyFile, caFile]
      .map(file => {
        const { ino, mtimeMs, size } = statSync(file, { throwIfNoEntry: false }) ?? {};
        return `${ino} ${mtimeMs} ${size}`;
      })
      .join();
  }
}

/** Why the other side's certificate was not taken, if that was it. */
function distrustOf(socket: TLSSocket): string | undefined {
  // Typed as an error; it is a code.
  const reason = socket.authorizationError as unknown;
  return typeof reason === 'string' ? reason : undefined;
}

/** Reads a file and tries whether it can be used. */
function use(name: 'cert' | 'key' | 'ca', file: string, attempt: (content: Buffer) => void): Buffer {
  try {
    const content = readFileSync(file);
    attempt(content);
    return content;
  } catch (error) {
    throw new GateError(
      'BAD_ARGUMENT',
      `link: tls.${name}File (${name}= in the URL): ${JSON.stringify(file)} cannot be used: ${messageOf(error)}`,
    );
  }
}
