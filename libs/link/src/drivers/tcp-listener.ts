import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { GateError } from '@nestgate/protocol';
import { listenAlone } from '../listen-alone.js';
import { addressOf, type HostPort, nameOf } from './tcp-address.js';
import type { TcpTls } from './tcp-tls.js';

/** Connections, at a time, that have not proved yet that they belong to the cluster. */
const MAX_STRANGERS = 64;
/** How long they have for that, in milliseconds, the encryption's handshake included. */
const GREETING_MS = 4_000;
/** Whoever has taken so long makes room for another one, when there is none. */
const SLOW_MS = 1_000;

/** Connections that a gate's listener has closed since the start, by why. */
export interface TcpLinkCounters {
  /** Too many others were just as unknown. */
  crowded: number;
  /** It did not prove in time that it belongs to the cluster. */
  silent: number;
  /** Its proof, or its certificate, was wrong. */
  unauthorized: number;
  /** What it said was malformed. */
  corrupt: number;
  /** It belongs to the cluster, and may not come in: its id is taken, or its role is not expected. */
  refused: number;
}

/** What a connection counts as that was refused with an error. */
const FAULTS: Readonly<Record<string, keyof TcpLinkCounters>> = {
  UNAUTHORIZED: 'unauthorized',
  LINK_CORRUPT: 'corrupt',
  INTERNAL: 'corrupt',
};

interface Stranger {
  readonly socket: Socket;
  readonly since: number;
  readonly timer: NodeJS.Timeout;
}

/** Takes connections, and closes those that stay strangers. */
export class TcpListener {
  readonly counters: TcpLinkCounters = { crowded: 0, silent: 0, unauthorized: 0, corrupt: 0, refused: 0 };
  private readonly strangers = new Map<string, Stranger>();
  private readonly server: Server;

  /** `onRefused` is told the address of each connection that is refused, and why. */
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

  /** Where it listens, once it does. */
  get address(): HostPort | undefined {
    const address = this.server.address() as AddressInfo | null;
    return address ? { host: address.address, port: address.port } : undefined;
  }

  /** Rejects with the system's error when the address cannot be listened on. */
  async listen({ host, port }: HostPort): Promise<void> {
    const { server } = this;
    await listenAlone(server, port, addressOf(host), 'the link');
    // A connection that cannot be accepted, for want of descriptors, is the other side's loss only.
    server.on('error', () => undefined);
  }

  /** The node at the other end has become a peer. */
  noteReady(socket: Socket): void {
    const key = keyOf(socket);
    clearTimeout(this.strangers.get(key)?.timer);
    this.strangers.delete(key);
  }

  /** A connection was refused for this, by whoever it was handed to. */
  noteFault({ code }: GateError, socket: Socket, why: string): void {
    this.counters[FAULTS[code] ?? 'refused']++;
    this.onRefused(keyOf(socket), why);
  }

  /** Takes no more connections, and resolves when all are closed: its owner ends those of peers. */
  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.server.close(() => resolve()));
    for (const { socket } of this.strangers.values()) socket.destroy();
    await closed;
  }

  /** Whether a new connection may speak. */
  private receive(socket: Socket): boolean {
    const key = keyOf(socket);
    socket.on('error', () => socket.destroy());
    if (this.strangers.size >= MAX_STRANGERS && !this.makeRoom()) {
      this.counters.crowded++;
      this.onRefused(key, `${MAX_STRANGERS} other connections have not proved yet that they belong to the cluster`);
      socket.destroy();
      return false;
    }
    const timer = setTimeout(() => {
      this.counters.silent++;
      this.onRefused(key, 'it has not proved in time that it belongs to the cluster');
      socket.destroy();
    }, GREETING_MS);
    this.strangers.set(key, { socket, since: performance.now(), timer });
    socket.once('close', () => {
      clearTimeout(timer);
      if (this.strangers.get(key)?.socket === socket) this.strangers.delete(key);
    });
    return true;
  }

  /** Nodes that come back all at once take less time than that, and are not in the way of each other. */
  private makeRoom(): boolean {
    const [longest] = this.strangers;
    if (!longest || performance.now() - longest[1].since < SLOW_MS) return false;
    this.counters.crowded++;
    this.onRefused(longest[0], 'it has not proved that it belongs to the cluster while others wait');
    this.strangers.delete(longest[0]);
    longest[1].socket.destroy();
    return true;
  }
}

/** The other end, `address:port`, tells connections of one listener apart, encrypted or not. */
function keyOf({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return nameOf({ host: remoteAddress, port: remotePort });
}
