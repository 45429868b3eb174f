import type { Socket } from 'node:net';
import { TcpProxy } from './tcp-proxy.js';

/** Towards the listener, or towards the dialer. */
export type Way = 'up' | 'down';

/** A proxy between a node that dials and one that listens, which breaks a connection at the byte that it is told. */
export class CutProxy {
  /** Bytes that have been handed on so far. */
  readonly carried: Record<Way, number> = { up: 0, down: 0 };
  /** Connections that it has broken. */
  cuts = 0;
  private readonly armed: Record<Way, number> = { up: Number.POSITIVE_INFINITY, down: Number.POSITIVE_INFINITY };
  private proxy!: TcpProxy;

  private constructor() {}

  static async start(target: number): Promise<CutProxy> {
    const cutter = new CutProxy();
    cutter.proxy = await TcpProxy.start(target, (near, far) => {
      near.on('data', chunk => cutter.carry('up', chunk, near, far));
      far.on('data', chunk => cutter.carry('down', chunk, far, near));
      for (const way of ['up', 'down'] as const) if (cutter.armed[way] === 0) cutter.cut(way, near, far);
    });
    return cutter;
  }

  get port(): number {
    return this.proxy.port;
  }

  /** Hands on so many more bytes this way, and then breaks the connection that had the last of them. Once. */
  arm(way: Way, bytes: number): void {
    this.armed[way] = bytes;
  }

  end(): Promise<void> {
    return this.proxy.end();
  }

  private carry(way: Way, chunk: Buffer, from: Socket, to: Socket): void {
    const left = this.armed[way];
    const part = chunk.subarray(0, left);
    this.carried[way] += part.length;
    this.armed[way] = left - part.length;
    if (part.length > 0) to.write(part);
    if (this.armed[way] <= 0) this.cut(way, from, to);
  }

  /** The receiver gets what was handed on and then nothing more; the sender learns of it by a reset. */
  private cut(way: Way, from: Socket, to: Socket): void {
    this.armed[way] = Number.POSITIVE_INFINITY;
    this.cuts++;
    from.removeAllListeners('data');
    to.removeAllListeners('data');
    from.resetAndDestroy();
    to.destroySoon();
  }
}
