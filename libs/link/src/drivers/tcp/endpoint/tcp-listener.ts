import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { GateError } from '@nestgate/protocol';
import { listenAlone } from '../../../common/listen-alone.js';
import { addressOf, type HostPort, nameOf } from './tcp-address.js';
import type { TcpTls } from './tcp-tls.js';

/** Maximum number of unauthenticated connections. */
const MAX_UNAUTHENTICATED = 64;
/** Time limit for authentication, TLS handshake included, in milliseconds. */
const GREETING_MS = 4_000;
/** At the maximum, a new connection replaces the oldest unauthenticated one if that is older than this. */
const SLOW_MS = 1_000;

/** Connections that the listener of a gate has closed since its start, by reason. */
export interface TcpLinkCounters {
  /** Closed because the maximum number of unauthenticated connections was reached. */
  overflow: number;
  /** Not authenticated within the time limit. */
  silent: number;
  /** Wrong proof or certificate. */
  unauthorized: number;
  /** Malformed data. */
  corrupt: number;
  /** Authenticated but not admitted: the id is in use, or the role is not expected. */
  refused: number;
}

/** Counter for each error code that refuses a connection. */
const FAULTS: Readonly<Record<string, keyof TcpLinkCounters>> = {
  UNAUTHORIZED: 'unauthorized',
  LINK_CORRUPT: 'corrupt',
  INTERNAL: 'corrupt',
};

interface Unauthenticated {
  readonly socket: Socket;
  readonly since: number;
  readonly timer: NodeJS.Timeout;
}

/** Accepts connections, and closes those that do not authenticate in time. */
export class TcpListener {
  readonly counters: TcpLinkCounters = { overflow: 0, silent: 0, unauthorized: 0, corrupt: 0, refused: 0 };
  private readonly unauthenticated = new Map<string, Unauthenticated>();
  private readonly server: Server;

  /** `onRefused` receives the address of each refused connection and the reason. */
  constructor(
    onConnect: (socket: Socket) => void,
    tls: TcpTls | undefined,
    private readonly onRefused: (who: string, why: string) => void = () => undefined,
  ) {
    const accept =
      tls?.createAcceptor(onConnect, (reason, who) => {
        if (reason === 'ended') return;
        this.counters[reason]++;
        this.onRefused(who, reason === 'corrupt' ? 'it does not speak TLS' : 'its certificate is not trusted');
      }) ?? onConnect;
    this.server = createServer(socket => {
      if (this.receive(socket)) accept(socket);
    });
  }

  /** Address of the listening server. */
  get address(): HostPort | undefined {
    const address = this.server.address() as AddressInfo | null;
    return address ? { host: address.address, port: address.port } : undefined;
  }

  /** Rejects with the system error when listening fails. */
  async listen({ host, port }: HostPort): Promise<void> {
    const { server } = this;
    await listenAlone(server, port, addressOf(host), 'the link');
    // An accept error, for example without free file descriptors, must not end the process.
    server.on('error', () => undefined);
  }

  /** The node at the other end has become a peer. */
  noteReady(socket: Socket): void {
    const key = keyOf(socket);
    clearTimeout(this.unauthenticated.get(key)?.timer);
    this.unauthenticated.delete(key);
  }

  /** Counts and reports a connection that its owner refused. */
  noteFault({ code }: GateError, socket: Socket, why: string): void {
    this.counters[FAULTS[code] ?? 'refused']++;
    this.onRefused(keyOf(socket), why);
  }

  /** Stops accepting, and resolves when all connections are closed. The owner closes those of peers. */
  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.server.close(() => resolve()));
    for (const { socket } of this.unauthenticated.values()) socket.destroy();
    await closed;
  }

  /** Whether a new connection is accepted. */
  private receive(socket: Socket): boolean {
    const key = keyOf(socket);
    socket.on('error', () => socket.destroy());
    if (this.unauthenticated.size >= MAX_UNAUTHENTICATED && !this.makeRoom()) {
      this.counters.overflow++;
      this.onRefused(key, `${MAX_UNAUTHENTICATED} other connections are not authenticated yet`);
      socket.destroy();
      return false;
    }
    const timer = setTimeout(() => {
      this.counters.silent++;
      this.onRefused(key, 'it has not proved in time that it belongs to the cluster');
      socket.destroy();
    }, GREETING_MS);
    this.unauthenticated.set(key, { socket, since: performance.now(), timer });
    socket.once('close', () => {
      clearTimeout(timer);
      if (this.unauthenticated.get(key)?.socket === socket) this.unauthenticated.delete(key);
    });
    return true;
  }

  /** Closes the oldest unauthenticated connection. Nodes that reconnect together authenticate faster and are not affected. */
  private makeRoom(): boolean {
    const [longest] = this.unauthenticated;
    if (!longest || performance.now() - longest[1].since < SLOW_MS) return false;
    this.counters.overflow++;
    this.onRefused(longest[0], 'it has not proved that it belongs to the cluster while others wait');
    this.unauthenticated.delete(longest[0]);
    longest[1].socket.destroy();
    return true;
  }
}

/** The remote `address:port`. It identifies a connection of the listener, encrypted or not. */
function keyOf({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return nameOf({ host: remoteAddress, port: remotePort });
}
