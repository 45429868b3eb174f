import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';

interface Wanted {
  readonly take: (msg: Msg) => void;
  subscription: Subscription | undefined;
  /** Settles when the server knows of it. */
  heard: Promise<void>;
}

/** What a node wants to hear, whether there is a connection or not. */
export class NatsInterest {
  private readonly wanted = new Map<string, Wanted>();
  private nats: NatsConnection | undefined;
  private flushing: Promise<void> | undefined;

  constructor(private readonly onDefect: (error: unknown) => void) {}

  /** Subscribes now, and again with each connection. A subject that is wanted already stays as it is. */
  add(subject: string, take: (msg: Msg) => void): void {
    if (this.wanted.has(subject)) return;
    const entry: Wanted = { take, subscription: undefined, heard: Promise.resolve() };
    this.wanted.set(subject, entry);
    this.subscribe(subject, entry);
  }

  /** Settles when the server knows that a subject is wanted, as soon as there is a connection; at once without one. */
  whenHeard(subject: string): Promise<void> {
    return this.wanted.get(subject)?.heard ?? Promise.resolve();
  }

  delete(subject: string): void {
    this.wanted.get(subject)?.subscription?.unsubscribe();
    this.wanted.delete(subject);
  }

  /** Whether the server has not let this node subscribe. */
  isDenied(subject: string): boolean {
    return this.wanted.get(subject)?.subscription?.isClosed() === true;
  }

  /** A new connection, or the same one again: what is not subscribed to, or was denied before, is subscribed to. */
  attach(nats: NatsConnection): void {
    this.nats = nats;
    for (const [subject, entry] of this.wanted) {
      if (!entry.subscription || entry.subscription.isClosed()) this.subscribe(subject, entry);
    }
  }

  /** The connection is over for good; another one may come. */
  detach(): void {
    this.nats = undefined;
    for (const entry of this.wanted.values()) entry.subscription = undefined;
  }

  private subscribe(subject: string, entry: Wanted): void {
    const { nats } = this;
    if (!nats || nats.isClosed() || nats.isDraining()) return;
    entry.subscription = nats.subscribe(subject, {
      callback: (error, msg) => {
        // That the subscription is denied comes here too, without a message; the connection's status tells of it.
        if (error) return;
        try {
          entry.take(msg);
        } catch (defect) {
          // What is thrown from here would end the client's reader.
          this.onDefect(defect);
        }
      },
    });
    entry.heard = this.flush(nats);
  }

  /** A cast that is published before the server knows of a subscription is not heard. One round trip serves a whole turn. */
  private flush(nats: NatsConnection): Promise<void> {
    this.flushing ??= Promise.resolve().then(async () => {
      this.flushing = undefined;
      // Without a connection nobody can cast, and the client subscribes again before anything else when it has one.
      await nats.flush().catch(() => undefined);
    });
    return this.flushing;
  }
}
