import type { Connection } from '../connection/connection.js';

/** Measures whether a client is alive: whether it sends, whether it reads, and when it was pinged. Times are of the heartbeat's clock. */
export class Liveness {
  private lastBytes = 0;
  private lastHeard = 0;
  private lastPing = 0;
  private lastTaken = 0;
  private lastTakenAt = 0;

  constructor(private readonly connection: Connection) {}

  /** Starts to measure. */
  start(now: number): void {
    this.lastHeard = now;
    this.lastPing = now;
  }

  /** How long the client has sent nothing, in milliseconds. A socket that the gate has paused is not silent. */
  silentFor(now: number, isPaused: boolean): number {
    const { bytesRead } = this.connection;
    if (bytesRead !== this.lastBytes || isPaused) {
      this.lastBytes = bytesRead;
      this.lastHeard = now;
    }
    return now - this.lastHeard;
  }

  /**
   * Whether the client has read nothing for `maxMs`, although its socket has data. A client that sends frames is not silent, but may
   * still never read.
   */
  isStuck(now: number, maxMs: number): boolean {
    const { writableLength, takenBytes } = this.connection;
    if (writableLength === 0 || takenBytes !== this.lastTaken) {
      this.lastTaken = takenBytes;
      this.lastTakenAt = now;
      return false;
    }
    return now - this.lastTakenAt >= maxMs;
  }

  pingWhenDue(now: number, interval: number): void {
    if (now - this.lastPing < interval) return;
    this.lastPing = now;
    // Also when the socket is full: a client that reads slowly answers when it has read up to the ping.
    this.connection.ping();
  }
}
