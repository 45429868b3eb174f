import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { Deadline, DeadlineWheel, MAX_RECEIPT_MS, type PushReceipt } from '@nestgate/link/internal';
import { GateCounters } from '../gate-counters.js';
import type { Receipt } from './receipt.js';

/** Acknowledgements that a gate waits for at once. */
const MAX_OPEN = 250_000;

/** What a message can be acknowledged through: a session that outlives its connections. */
interface Acknowledging {
  awaitReceipt(receipt: Receipt): void;
}

/** Acknowledgements that are waited for, of all pushes together. */
interface ReceiptBudget {
  /** Takes room for one; false when there is none. */
  take(): boolean;
  giveBack(count: number): void;
}

/** One push, and the clients that are to acknowledge it. */
export class ReceiptWait extends Deadline implements Receipt {
  isOver = false;
  /** Resolves when no client is waited for any more. */
  readonly outcome: Promise<PushReceipt>;
  private delivered = 0;
  private received = 0;
  private open = 0;
  private isSealed = false;
  private resolve!: (receipt: PushReceipt) => void;

  constructor(
    private readonly budget: ReceiptBudget,
    private readonly onOver: (wait: ReceiptWait) => void,
  ) {
    super();
    this.outcome = new Promise(resolve => (this.resolve = resolve));
  }

  /** The message was queued for a client. One without a session cannot acknowledge it, and is not waited for. */
  add(session: Acknowledging | undefined): void {
    this.delivered++;
    if (session) this.expect(session);
  }

  /** Waits for a client without counting that the message was queued. */
  expect(session: Acknowledging): void {
    if (!this.begin()) return;
    session.awaitReceipt(this);
  }

  /** Another gate pushes to clients that have moved there. */
  follow(elsewhere: Promise<PushReceipt>): void {
    const isCounted = this.begin();
    elsewhere.then(
      ({ delivered, received }) => {
        if (this.isOver) return;
        this.delivered += delivered;
        this.received += received;
        if (isCounted) this.settle(false);
      },
      () => {
        if (isCounted) this.settle(false);
      },
    );
  }

  settle(isReceived: boolean): void {
    if (this.isOver) return;
    this.open--;
    this.budget.giveBack(1);
    if (isReceived) this.received++;
    this.endWhenDone();
  }

  /** All clients are known. */
  seal(): void {
    this.isSealed = true;
    this.endWhenDone();
  }

  /** The time is over: resolves with what has come. */
  override expire(): void {
    this.end();
  }

  private begin(): boolean {
    if (!this.budget.take()) return false;
    this.open++;
    return true;
  }

  private endWhenDone(): void {
    if (this.isSealed && this.open === 0) this.end();
  }

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.budget.giveBack(this.open);
    this.open = 0;
    this.onOver(this);
    this.resolve({ delivered: this.delivered, received: this.received });
  }
}

/** The pushes whose sender wants to know how many clients have acknowledged them. Bounded; nothing runs while there are none. */
@Injectable()
export class PushReceipts implements OnApplicationShutdown, ReceiptBudget {
  private readonly wheel: DeadlineWheel;
  private open = 0;

  constructor(
    private readonly counters: GateCounters,
    node: LinkNode,
  ) {
    this.wheel = new DeadlineWheel(undefined, error => node.reportDefect(error, 'receipts'));
  }

  /** Acknowledgements that are waited for. */
  get size(): number {
    return this.open;
  }

  /** Pushes in `push`, which says to whom, and waits so long for those clients. */
  async collect(waitMs: number, push: (wait: ReceiptWait) => void): Promise<PushReceipt> {
    const wait = new ReceiptWait(this, ended => this.wheel.remove(ended));
    // A number of another node: what is no number is no time.
    const ms = waitMs > 0 ? Math.min(waitMs, MAX_RECEIPT_MS) : 0;
    this.wheel.add(wait, performance.now() + ms);
    try {
      push(wait);
      wait.seal();
    } catch (error) {
      wait.expire();
      throw error;
    }
    return wait.outcome;
  }

  take(): boolean {
    if (this.open >= MAX_OPEN) {
      this.counters.add('receipts_refused', 'full');
      return false;
    }
    this.open++;
    return true;
  }

  giveBack(count: number): void {
    this.open -= count;
  }

  /** The gate has stopped. */
  onApplicationShutdown(): void {
    this.wheel.stop();
  }
}
