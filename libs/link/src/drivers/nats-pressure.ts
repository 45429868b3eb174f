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

  constructor(
    private readonly nats: NatsConnection,
    private readonly onLow: () => void,
  ) {}

  get isHigh(): boolean {
    this.wasHigh ||= this.unconfirmed > HIGH_BYTES;
    return this.unconfirmed > HIGH_BYTES;
  }

  get isFull(): boolean {
    return this.unconfirmed > FULL_BYTES;
  }

  note(bytes: number): void {
    this.unconfirmed += bytes;
    this.unasked += bytes;
    if (this.unasked >= ASK_BYTES) this.ask();
  }

  /** A new connection owes nothing: what the old one had not sent is lost, and its requests have ended. */
  reset(): void {
    this.generation++;
    this.unconfirmed = 0;
    this.unasked = 0;
    this.relax();
  }

  stop(): void {
    this.generation++;
  }

  private ask(): void {
    const asked = this.unasked;
    const { generation } = this;
    this.unasked = 0;
    this.nats.flush().then(
      () => {
        if (generation !== this.generation) return;
        this.unconfirmed -= asked;
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
