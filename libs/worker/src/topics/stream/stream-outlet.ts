import { Fifo, itemContract, type Peer, type StreamItem } from '@nestgate/link/internal';
import { type Body, JsonText, NO_BODY } from '@nestgate/protocol';

/** An AsyncIterable is asked for its next item while fewer items, and bytes, are unwritten. */
const MAX_UNWRITTEN = 32;
const MAX_UNWRITTEN_BYTES = 64 * 1024;
/** An Observable, which cannot be held back, may be so far ahead of its client. */
const MAX_AHEAD = 256;
const MAX_AHEAD_BYTES = 4 * 1024 * 1024;
/** Items that an Observable may emit within the call that subscribes to it, when nothing can be written yet. */
const MAX_BURST = 4_096;
/** The gate acknowledges after so many items, or bytes. Half of what may be unwritten, so that a client that reads is never waited for. */
const MARK_ITEMS = MAX_UNWRITTEN / 2;
const MARK_BYTES = MAX_UNWRITTEN_BYTES / 2;

/** Items up to one that the gate acknowledges. */
interface Group {
  /** How many items there were with it, from the beginning of the stream. */
  readonly items: number;
  readonly bytes: number;
}

/** Sends the items of one stream to the gate of its client, and counts those that the client's socket has not taken yet. */
export class StreamOutlet {
  /** True when an item was sent, or acknowledged, since this was set to false. */
  isActive = true;
  private sent = 0;
  private written = 0;
  private unwrittenBytes = 0;
  private readonly groups = new Fifo<Group>();
  private grouped = 0;
  private groupBytes = 0;
  private burst = 0;
  private wake: (() => void) | undefined;
  /** Reused for each item, and names the stream. */
  private readonly item: StreamItem;

  constructor(
    private peer: Peer,
    stream: number,
    /** How long the stream may do nothing at all, in milliseconds. The gate, which knows more, acts earlier. */
    readonly patienceMs: number,
  ) {
    this.item = { stream, isMarked: false, body: NO_BODY };
  }

  /** The number by which the gate names the stream. */
  get stream(): number {
    return this.item.stream;
  }

  /** Items that have been sent to the gate. */
  get items(): number {
    return this.sent;
  }

  /** Whether the producer has to wait for the client. */
  get isFull(): boolean {
    return this.sent - this.written >= MAX_UNWRITTEN || this.unwrittenBytes >= MAX_UNWRITTEN_BYTES;
  }

  /** Whether another item of a producer that cannot wait would be too much. `isBurst`: it is still being subscribed to. */
  isOverrun(isBurst: boolean): boolean {
    if (this.unwrittenBytes >= MAX_AHEAD_BYTES) return true;
    if (isBurst) return ++this.burst > MAX_BURST;
    return this.sent - this.written >= MAX_AHEAD + this.burst;
  }

  send(body: Body): void {
    const size = body instanceof JsonText ? body.text.length : body.bytes.length;
    this.isActive = true;
    this.sent++;
    this.unwrittenBytes += size;
    this.groupBytes += size;
    const isMarked = this.sent - this.grouped >= MARK_ITEMS || this.groupBytes >= MARK_BYTES;
    if (isMarked) {
      this.groups.push({ items: this.sent, bytes: this.groupBytes });
      this.grouped = this.sent;
      this.groupBytes = 0;
    }
    const { item } = this;
    item.isMarked = isMarked;
    item.body = body;
    this.peer.notify(itemContract.item, item);
    item.body = NO_BODY;
  }

  /** The client's socket has taken so many items. */
  noteWritten(items: number): void {
    this.isActive = true;
    if (items > this.sent) return;
    while (this.written < items) {
      const group = this.groups.shift();
      if (!group) break;
      this.written = group.items;
      this.unwrittenBytes -= group.bytes;
    }
    if (!this.isFull) this.release();
  }

  /** The client has come to another gate. What the last one has got is kept there, and counts as written. */
  moveTo(peer: Peer, stream: number): void {
    this.peer = peer;
    this.item.stream = stream;
    this.isActive = true;
    this.sent = 0;
    this.written = 0;
    this.unwrittenBytes = 0;
    this.groups.clear();
    this.grouped = 0;
    this.groupBytes = 0;
    this.release();
  }

  /** Resolves when the producer need not wait any more, also because the stream has ended. */
  async whenFree(): Promise<void> {
    await new Promise<void>(resolve => (this.wake = resolve));
  }

  /** Lets a waiting producer go on. */
  release(): void {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  }
}
