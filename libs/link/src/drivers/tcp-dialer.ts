import { connect, type Socket } from 'node:net';
import { type HostPort, resolveAddresses } from './tcp-address.js';

/** How often host names are looked up again, in milliseconds. */
const LOOKUP_MS = 15_000;
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 3_000;

/** One address, dialled again and again. */
interface Dial {
  readonly address: HostPort;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  socket: Socket | undefined;
  /** Called when it is known how the first try has ended. */
  readonly tried: () => void;
}

/** Keeps a connection to every address that the targets stand for, with backoff and jitter where that fails. */
export class TcpDialer {
  private readonly dials = new Map<string, Dial>();
  private lookupTimer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(
    private readonly targets: readonly HostPort[],
    private readonly onConnect: (socket: Socket) => void,
  ) {}

  /** Starts dialling; resolves when each address has been tried once. */
  async start(): Promise<void> {
    const firstTries = await this.lookup();
    if (this.isStopped) return;
    this.lookupTimer = setInterval(() => void this.lookup(), LOOKUP_MS).unref();
    await Promise.all(firstTries);
  }

  /**
   * The node at the other end has proved itself. Only this ends the backing off: a listener that takes connections and
   * refuses nodes must not be asked in a loop.
   */
  noteReady(socket: Socket): void {
    for (const dial of this.dials.values()) {
      if (dial.socket !== socket) continue;
      dial.failures = 0;
      dial.tried();
    }
  }

  /** Stops dialling. Connections that are there are left to their owner. */
  stop(): void {
    this.isStopped = true;
    clearInterval(this.lookupTimer);
    for (const dial of this.dials.values()) this.give(dial);
    this.dials.clear();
  }

  /** Dials what is new, and gives up what is gone. Returns the first tries of what is new. */
  private async lookup(): Promise<Promise<void>[]> {
    const found = await resolveAddresses(this.targets);
    const firstTries: Promise<void>[] = [];
    if (this.isStopped) return firstTries;
    for (const [key, address] of found) {
      if (this.dials.has(key)) continue;
      firstTries.push(
        new Promise(tried => {
          const dial: Dial = { address, failures: 0, timer: undefined, socket: undefined, tried };
          this.dials.set(key, dial);
          this.dial(dial);
        }),
      );
    }
    for (const [key, dial] of this.dials) {
      // A connection that works is kept, whatever the name says now.
      if (found.has(key) || dial.socket) continue;
      this.give(dial);
      this.dials.delete(key);
    }
    return firstTries;
  }

  private dial(dial: Dial): void {
    const socket = connect(dial.address.port, dial.address.host);
    dial.socket = socket;
    socket.once('connect', () => this.onConnect(socket));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      dial.socket = undefined;
      dial.tried();
      if (this.isStopped) return;
      const backoff = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** Math.min(dial.failures++, 10));
      dial.timer = setTimeout(() => this.dial(dial), backoff * (0.5 + Math.random() / 2));
    });
  }

  private give(dial: Dial): void {
    clearTimeout(dial.timer);
    dial.tried();
    if (dial.socket?.connecting) dial.socket.destroy();
  }
}
