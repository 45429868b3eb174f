import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';

interface Wanted {
  readonly take: (msg: Msg) => void;
  subscription: Subscription | undefined;
  /** Settles when the server knows of it. */
  confirmed: Promise<void>;
}

/** The subscriptions of a node. They outlive a connection: each new connection subscribes to all of them. */
export class NatsSubscriptions {
  private readonly wanted = new Map<string, Wanted>();
  private nats: NatsConnection | undefined;
  private flushing: Promise<void> | undefined;

  constructor(private readonly onDefect: (error: unknown) => void) {}

  /** Subscribes now, and again on each new connection. Does nothing for a subject that is already subscribed to. */
  add(subject: string, take: (msg: Msg) => void): void {
    if (this.wanted.has(subject)) return;
    const entry: Wanted = { take, subscription: undefined, confirmed: Promise.resolve() };
    this.wanted.set(subject, entry);
    this.subscribe(subject, entry);
  }

  /** Settles when the server has processed the subscription to a subject; immediately without a connection. */
  whenConfirmed(subject: string): Promise<void> {
    return this.wanted.get(subject)?.confirmed ?? Promise.resolve();
  }

  delete(subject: string): void {
    this.wanted.get(subject)?.subscription?.unsubscribe();
    this.wanted.delete(subject);
  }

  /** Whether the server has denied the subscription. */
  isDenied(subject: string): boolean {
    return this.wanted.get(subject)?.subscription?.isClosed() === true;
  }

  /** Handles a new or restored connection: subscribes to every subject that has no subscription, or a denied one. */
  attach(nats: NatsConnection): void {
    this.nats = nats;
    for (const [subject, entry] of this.wanted) {
      if (!entry.subscription || entry.subscription.isClosed()) this.subscribe(subject, entry);
    }
  }

  /** The connection is closed; another one may follow. */
  detach(): void {
    this.nats = undefined;
    for (const entry of this.wanted.values()) entry.subscription = undefined;
  }

  private subscribe(subject: string, entry: Wanted): void {
    const { nats } = this;
    if (!nats || nats.isClosed() || nats.isDraining()) return;
    entry.subscription = nats.subscribe(subject, {
      callback: (error, msg) => {
        // A denial arrives here too, without a message; the status of the connection reports it.
        if (error) return;
        try {
          entry.take(msg);
        } catch (defect) {
          // An exception here would end the read loop of the NATS client.
          this.onDefect(defect);
        }
      },
    });
    entry.confirmed = this.flush(nats);
  }

  /** The server does not deliver a cast that was published before it processed the subscription. One round trip per turn. */
  private flush(nats: NatsConnection): Promise<void> {
    this.flushing ??= Promise.resolve().then(async () => {
      this.flushing = undefined;
      // Without a connection no cast arrives, and after a reconnect the client subscribes before it does anything else.
      await nats.flush().catch(() => undefined);
    });
    return this.flushing;
  }
}
