import { connect, type Socket } from 'node:net';
import type { NodeId, UnreachedGate } from '../../../link.js';
import { nameOf } from './tcp-address.js';
import type { DialAddress, TcpResolver } from './tcp-resolver.js';

/** How long a dialer takes for what it does, in milliseconds. */
export interface DialTimes {
  /** How often host names are looked up again; after a lookup that has found nothing, sooner. */
  readonly lookupMs: number;
  readonly emptyLookupMs: number;
  /** From the first packet to both sides being ready. */
  readonly connectMs: number;
  /** The wait after the first failure, which doubles up to the second number. */
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
  /**
   * The longest wait for a node that was connected within the last `recentMs`, and for `stableMs` or longer: it is probably
   * being restarted, and should be reached before it has clients again.
   */
  readonly recentRetryMs: number;
  readonly recentMs: number;
  readonly stableMs: number;
  /** The wait before an address is asked again that leads to a node which is connected already. */
  readonly duplicateRetryMs: number;
}

export const DIAL_TIMES: DialTimes = Object.freeze({
  lookupMs: 5_000,
  emptyLookupMs: 1_000,
  connectMs: 4_000,
  minRetryMs: 100,
  maxRetryMs: 3_000,
  recentRetryMs: 200,
  recentMs: 60_000,
  stableMs: 500,
  duplicateRetryMs: 15_000,
});

/** Begins a connection, and calls back when there is one. */
export type Connect = (address: DialAddress, onConnect: (socket: Socket) => void) => Socket;

export interface TcpDialerOptions {
  readonly resolver: TcpResolver;
  /** @defaultValue plain TCP */
  readonly connect?: Connect;
  readonly onConnect: (socket: Socket) => void;
  /** Told what is thrown in a timer, or while a connection is taken. */
  readonly onDefect?: (error: unknown, where: string) => void;
  readonly times?: DialTimes;
  /** What {@link TcpDialer.unreached} says may be different now. */
  readonly onChange?: () => void;
}

/** One address, dialled again and again. */
interface Dial {
  readonly key: string;
  readonly address: DialAddress;
  failures: number;
  /** Before the next try; during one, until it has taken too long. */
  timer: NodeJS.Timeout | undefined;
  socket: Socket | undefined;
  /** True when the socket was handed over to its owner. */
  isHandedOver: boolean;
  /** When the node at the other end became a peer. */
  readyAt: number | undefined;
  /** When a connection ended that had been stable. */
  lostAt: number | undefined;
  /** The node that it led to last, and whether that one has been a peer. */
  node: NodeId | undefined;
  wasReached: boolean;
  /** Why the last try has failed. */
  reason: string | undefined;
  /** The node that it leads to, when that one is connected otherwise. */
  duplicateOf: NodeId | undefined;
  /** False when no name stands for it any more. */
  isWanted: boolean;
  /** Called when it is known how the first try has ended. */
  readonly tried: () => void;
}

/** Keeps a connection to every address that the targets stand for, with backoff and jitter where that fails. */
export class TcpDialer {
  private readonly dials = new Map<string, Dial>();
  private readonly times: DialTimes;
  private lookupTimer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly options: TcpDialerOptions) {
    this.times = options.times ?? DIAL_TIMES;
  }

  /** Starts dialling; resolves when each address that was found has been tried once. */
  async start(): Promise<void> {
    await Promise.all(await this.lookup());
  }

  /**
   * The node at the other end has become a peer. Only when it has stayed one for a while does this end the backing off: a
   * listener that takes nodes and drops them must not be asked in a loop.
   */
  noteReady(socket: Socket, id: NodeId): void {
    const dial = this.dialOf(socket);
    if (!dial) return;
    clearTimeout(dial.timer);
    dial.readyAt = performance.now();
    dial.node = id;
    dial.reason = undefined;
    for (const each of this.dials.values()) if (each.node === id) each.wasReached = true;
    dial.tried();
  }

  /**
   * The node at the other end is connected otherwise, or about to be (`isPeer` is false then): this address is left alone
   * until that ends, or a good while.
   */
  noteDuplicate(socket: Socket, id: NodeId, isPeer: boolean): void {
    const dial = this.dialOf(socket);
    if (!dial) return;
    dial.duplicateOf = id;
    dial.wasReached = isPeer || (dial.node === id && dial.wasReached);
    dial.node = id;
    this.options.onChange?.();
  }

  /** Why the node at the other end does not become a peer. */
  noteReason(socket: Socket, reason: string): void {
    const dial = this.dialOf(socket);
    if (dial) dial.reason = reason;
  }

  /** The addresses, and names without any, that lead to no node of which `isThere` says that it is connected. */
  unreached(isThere: (id: NodeId) => boolean): UnreachedGate[] {
    const gates = new Map<NodeId, UnreachedGate>();
    for (const { address, node, wasReached, reason } of this.dials.values()) {
      if (node !== undefined && isThere(node)) continue;
      const name = node !== undefined && wasReached ? node : nameOf(address);
      gates.set(name, { name, wasReached, reason });
    }
    for (const target of this.options.resolver.unresolved()) {
      const name = nameOf(target);
      gates.set(name, { name, wasReached: false, reason: 'the name stands for no address' });
    }
    return [...gates.values()];
  }

  /** A node is not connected any more: the other addresses that lead to it are asked at once. */
  wake(id: NodeId): void {
    for (const dial of this.dials.values()) {
      if (dial.duplicateOf !== id) continue;
      dial.duplicateOf = undefined;
      if (!dial.socket) this.retry(dial);
    }
  }

  /** A node has come by itself: it may be one that an address leads to which was never reached. Those are dialled at once. */
  hurry(): void {
    for (const dial of this.dials.values()) {
      if (dial.wasReached || dial.socket) continue;
      clearTimeout(dial.timer);
      this.dial(dial);
    }
  }

  /** Stops dialling. Connections that have been handed over are left to their owner. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.lookupTimer);
    for (const dial of this.dials.values()) this.give(dial);
    this.dials.clear();
  }

  /** Dials what is new, and gives up what is gone. Returns the first tries of what is new. */
  private async lookup(): Promise<Promise<void>[]> {
    const { resolver } = this.options;
    const { found, isWhole } = await resolver.resolve();
    const firstTries: Promise<void>[] = [];
    if (this.isStopped) return firstTries;
    for (const [key, dial] of this.dials) {
      dial.isWanted = found.has(key);
      // A connection that works is kept, whatever the name says now.
      if (dial.isWanted || dial.readyAt !== undefined) continue;
      this.give(dial);
      dial.socket?.destroy();
      this.dials.delete(key);
    }
    for (const [key, address] of found) {
      if (!this.dials.has(key)) firstTries.push(new Promise(tried => this.add(key, address, tried)));
    }
    this.options.onChange?.();
    if (resolver.hasNames) {
      const { emptyLookupMs, lookupMs } = this.times;
      this.lookupTimer = setTimeout(() => this.lookAgain(), isWhole ? lookupMs : emptyLookupMs).unref();
    }
    return firstTries;
  }

  private lookAgain(): void {
    this.lookup().catch((error: unknown) => {
      this.options.onDefect?.(error, 'tcp.lookup');
      if (this.isStopped) return;
      this.lookupTimer = setTimeout(() => this.lookAgain(), this.times.lookupMs).unref();
    });
  }

  private add(key: string, address: DialAddress, tried: () => void): void {
    const dial: Dial = {
      key,
      address,
      failures: 0,
      timer: undefined,
      socket: undefined,
      isHandedOver: false,
      readyAt: undefined,
      lostAt: undefined,
      node: undefined,
      wasReached: false,
      reason: undefined,
      duplicateOf: undefined,
      isWanted: true,
      tried,
    };
    this.dials.set(key, dial);
    this.dial(dial);
  }

  /** Called by timers: a try that throws has failed, and is made again as any other one. */
  private dial(dial: Dial): void {
    try {
      this.tryOnce(dial);
    } catch (error) {
      this.options.onDefect?.(error, 'tcp.dial');
      this.noteClose(dial);
    }
  }

  private tryOnce(dial: Dial): void {
    dial.isHandedOver = false;
    const socket = (this.options.connect ?? connectPlain)(dial.address, connected => {
      dial.isHandedOver = true;
      try {
        this.options.onConnect(connected);
      } catch (error) {
        this.options.onDefect?.(error, 'tcp.connect');
        connected.destroy();
      }
    });
    dial.socket = socket;
    dial.reason = undefined;
    dial.timer = setTimeout(() => {
      dial.reason ??= 'no answer';
      socket.destroy();
    }, this.times.connectMs);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      dial.reason ??= error.code ?? error.message;
      socket.destroy();
    });
    socket.once('close', () => this.noteClose(dial));
  }

  private noteClose(dial: Dial): void {
    const { maxRetryMs, stableMs } = this.times;
    clearTimeout(dial.timer);
    const now = performance.now();
    if (dial.readyAt !== undefined) {
      if (now - dial.readyAt > maxRetryMs) dial.failures = 0;
      dial.lostAt = now - dial.readyAt > stableMs ? now : undefined;
    }
    dial.reason ??= 'it ended the connection';
    dial.socket = undefined;
    dial.readyAt = undefined;
    dial.tried();
    if (this.isStopped || this.dials.get(dial.key) !== dial) return;
    if (dial.isWanted) this.retry(dial);
    else this.dials.delete(dial.key);
    this.options.onChange?.();
  }

  private retry(dial: Dial): void {
    const { maxRetryMs, minRetryMs, duplicateRetryMs, recentRetryMs, recentMs } = this.times;
    const isRecent = dial.lostAt !== undefined && performance.now() - dial.lostAt < recentMs;
    const most = isRecent ? recentRetryMs : maxRetryMs;
    const backoff = Math.min(most, minRetryMs * 2 ** Math.min(dial.failures, 10));
    if (dial.duplicateOf === undefined) dial.failures++;
    const wait = dial.duplicateOf === undefined ? backoff : duplicateRetryMs;
    clearTimeout(dial.timer);
    dial.timer = setTimeout(
      () => {
        dial.duplicateOf = undefined;
        this.dial(dial);
      },
      wait * (0.5 + Math.random() / 2),
    );
  }

  /** Ends what has not become a connection yet. */
  private give(dial: Dial): void {
    clearTimeout(dial.timer);
    dial.tried();
    if (!dial.isHandedOver) dial.socket?.destroy();
  }

  private dialOf(socket: Socket): Dial | undefined {
    for (const dial of this.dials.values()) if (dial.socket === socket) return dial;
    return undefined;
  }
}

const connectPlain: Connect = ({ host, port }, onConnect) => {
  const socket = connect(port, host);
  return socket.once('connect', () => onConnect(socket));
};
