import type { NatsConnection } from '@nats-io/transport-node';

/** Unconfirmed bytes above which a link is congested, and above which it takes nothing more. */
const HIGH_BYTES = 4 * 1024 * 1024;
const FULL_BYTES = 32 * 1024 * 1024;
/** How often the server is asked to confirm, in bytes. */
const ASK_BYTES = 256 * 1024;

/**
 * Counts what the server has not confirmed. The client itself takes anything and keeps it in memory, also when the server
 * stands still; a round trip now and then tells what has really arrived.
 */
export class NatsPressure {
  private unconfirmed = 0;
  private unasked = 0;
  private generation = 0;
  private wasHigh = false;

  private nats: Pick<NatsConnection, 'flush'> | undefined;

  constructor(private readonly onLow: () => void) {}

  /** From now on it is this connection that confirms. */
  attach(nats: Pick<NatsConnection, 'flush'>): void {
    this.nats = nats;
  }

  get isHigh(): boolean {
    this.wasHigh ||= this.unconfirmed > HIGH_BYTES;
    return this.unconfirmed > HIGH_BYTES;
  }

  get isFull(): boolean {
    return this.unconfirmed > FULL_BYTES;
  }

  /** A frame of so many bytes has been handed to the client. */
  note(bytes: number): void {
    this.unconfirmed += bytes;
    this.unasked += bytes;
    if (this.unasked >= ASK_BYTES) this.confirm();
  }

  /** The connection is gone, and a new one owes nothing: what the server had not taken is lost. */
  reset(): void {
    this.generation++;
    this.unconfirmed = 0;
    this.unasked = 0;
    this.relax();
  }

  stop(): void {
    this.generation++;
  }

  /** Has the server confirm what it was sent since it was last asked. */
  confirm(): void {
    if (this.unasked === 0) return;
    const bytes = this.unasked;
    const { generation } = this;
    this.unasked = 0;
    this.nats?.flush().then(
      () => {
        if (generation !== this.generation) return;
        this.unconfirmed -= bytes;
        this.relax();
      },
      () => undefined,
    );
  }

  private relax(): void {
    if (!this.wasHigh || this.unconfirmed > HIGH_BYTES / 2) return;
    this.wasHigh = false;
    this.onLow();
  }
}
