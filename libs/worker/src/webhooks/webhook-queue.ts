import type { BoundedLog } from '../log/bounded-log.js';
import { InFlight } from '../topics/run/in-flight.js';
import { countOne, type WebhookMetrics } from './webhook-counters.js';
import type { WebhookEndpoint } from './webhook-endpoint.js';

/** Attempts at once: an endpoint that is slow leaves room for events that clients wait for. */
const MAX_SENDING = 16;
/** Events that wait, in bytes. */
const MAX_BYTES = 67_108_864;
/** Pause after a failed attempt: the first, and the longest. */
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;

/** Interval at which events are looked for whose pause is over, in milliseconds. */
const TICK_MS = 250;

interface Waiting {
  readonly id: string;
  readonly event: string;
  readonly bytes: number;
  readonly until: number;
  attempts: number;
  due: number;
}

/** Events that nobody waits for: they are sent until they arrive, for a while, each at least once. Bounded. */
export class WebhookQueue {
  /** Those that go as soon as the endpoint is free. */
  private ready: Waiting[] = [];
  /** Those that have failed, and pause. */
  private pausing: Waiting[] = [];
  /** Those that have not arrived, and are not given up. */
  private readonly open = new InFlight();
  private bytes = 0;
  private sending = 0;
  private timer: NodeJS.Timeout | undefined;
  private isClosed = false;

  constructor(
    private readonly endpoint: WebhookEndpoint,
    private readonly kind: string,
    private readonly metrics: WebhookMetrics,
    private readonly log: BoundedLog,
  ) {}

  /** Events that have not arrived. */
  get size(): number {
    return this.open.count;
  }

  /** Adds an event, as JSON; it is dropped when too many wait. */
  add(id: string, event: string): void {
    const bytes = Buffer.byteLength(event);
    const { maxQueue, retryFor } = this.endpoint.options;
    if (this.isClosed || this.size >= maxQueue || this.bytes + bytes > MAX_BYTES) {
      this.drop(this.isClosed ? 'closed' : 'full', 1);
      return;
    }
    const now = performance.now();
    this.bytes += bytes;
    this.open.add();
    this.metrics.queued++;
    this.ready.push({ id, event, bytes, until: now + retryFor, attempts: 0, due: now });
    this.pump();
  }

  /** Waits until all events have arrived, at most for this time; what is left then is dropped. */
  async close(withinMs: number): Promise<void> {
    await this.open.whenIdle(withinMs);
    this.isClosed = true;
    clearTimeout(this.timer);
    const lost = [...this.ready.splice(0), ...this.pausing.splice(0)];
    for (const item of lost) this.forget(item);
    if (lost.length > 0) this.drop('closed', lost.length);
  }

  private get waiting(): number {
    return this.ready.length + this.pausing.length;
  }

  /** Sends what is ready, as far as the endpoint is free. */
  private pump(): void {
    while (!this.isClosed && this.ready.length > 0 && this.sending < MAX_SENDING && this.endpoint.isFree) {
      this.sending++;
      this.attempt(this.ready.shift() as Waiting).catch((error: unknown) => this.log.error(error));
    }
    if (this.waiting > 0 && !this.isClosed) this.timer ??= setTimeout(() => this.tick(), TICK_MS).unref();
  }

  private tick(): void {
    this.timer = undefined;
    const now = performance.now();
    const pausing: Waiting[] = [];
    for (const item of this.pausing) (item.due <= now ? this.ready : pausing).push(item);
    this.pausing = pausing;
    this.pump();
  }

  private async attempt(item: Waiting): Promise<void> {
    try {
      const { status } = await this.endpoint.send(item.id, item.event);
      this.forget(item);
      if (status < 300) countOne(this.metrics.delivered, this.kind);
      else this.drop('refused', 1);
    } catch {
      this.putBack(item);
    } finally {
      this.sending--;
      this.pump();
    }
  }

  /** An attempt has failed, which the endpoint has counted: again later, with pauses that grow and differ. */
  private putBack(item: Waiting): void {
    const pause = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** Math.min(item.attempts++, 10));
    item.due = performance.now() + pause * (0.5 + Math.random() / 2);
    if (item.due <= item.until && !this.isClosed) {
      this.pausing.push(item);
      return;
    }
    this.forget(item);
    this.drop(this.isClosed ? 'closed' : 'expired', 1);
  }

  private forget({ bytes }: Waiting): void {
    this.bytes -= bytes;
    this.open.end();
    this.metrics.queued--;
  }

  private drop(why: string, events: number): void {
    countOne(this.metrics.dropped, why, events);
    this.log.warn(`${events} ${this.kind} events are lost: ${why}`);
  }
}
