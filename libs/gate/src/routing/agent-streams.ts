import { Fifo, type MovingStream, streamContract } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import type { Drainable } from '../client/drain-queue.js';
import type { OpenStreams } from '../client/frame-intake.js';
import type { ClientStream, StreamOwner } from './client-stream.js';

/** The streams of all clients, by the number that their workers know them by. */
export interface StreamIndex {
  delete(stream: ClientStream): void;
  /** Whether the worker of a stream is still a peer. */
  isPresent(stream: ClientStream): boolean;
  reportDefect(error: unknown, where: string): void;
}

/** An item that is acknowledged when the socket has taken it. */
interface Mark {
  readonly stream: ClientStream;
  readonly items: number;
  /** Where the item stands among all frames for the client. */
  readonly position: number;
}

/** The streams of one client, and those of their items that wait for its socket. Made with the first stream. */
export class AgentStreams implements OpenStreams, StreamOwner, Drainable {
  private readonly byId = new Map<number, ClientStream>();
  /** In the order in which they are written. */
  private readonly marks = new Fifo<Mark>();
  private next: Mark | undefined;
  private isListed = false;
  /** The client is moving to another gate: nothing is acknowledged, so that producers do not run ahead of it. */
  private isLeaving = false;

  constructor(
    private readonly agent: ClientAgent,
    private readonly index: StreamIndex,
  ) {}

  add(stream: ClientStream): void {
    this.byId.set(stream.id, stream);
  }

  has(id: number): boolean {
    return this.byId.has(id);
  }

  /** All that have not ended. */
  all(): ClientStream[] {
    return [...this.byId.values()];
  }

  /** The client begins to move to another gate. */
  beginLeave(): MovingStream[] {
    this.isLeaving = true;
    return Array.from(this.byId.values(), ({ id, topic, number, worker: { info } }) => ({
      id,
      topic,
      number,
      worker: info.id,
      epoch: info.epoch,
    }));
  }

  /** The client has moved, and what has not ended goes on there; returns the ids of those. */
  leave(): number[] {
    const ids = [...this.byId.keys()];
    for (const stream of this.all()) stream.leave();
    return ids;
  }

  /** The client has not moved after all. */
  stay(): void {
    this.isLeaving = false;
    for (const stream of this.all()) stream.stay();
    this.noteWritten();
  }

  cancel(id: number): boolean {
    const stream = this.byId.get(id);
    stream?.cancel();
    return stream !== undefined;
  }

  end(): void {
    for (const stream of this.all()) stream.breakOff('SESSION_NOT_FOUND');
  }

  mark(stream: ClientStream): void {
    this.marks.push({ stream, items: stream.received, position: stream.lastPosition });
    this.noteWritten();
  }

  tell(stream: ClientStream): void {
    if (!this.index.isPresent(stream)) return;
    stream.worker.notify(streamContract.written, { stream: stream.number, items: stream.written });
  }

  remove(stream: ClientStream, isForgotten: boolean): void {
    this.byId.delete(stream.id);
    this.index.delete(stream);
    if (isForgotten && this.index.isPresent(stream))
      stream.worker.notify(streamContract.cancel, { stream: stream.number });
  }

  /** Looks when the queue, which has listed itself before, has been drained. */
  noteWritten(): void {
    if (this.isListed || this.isLeaving || (this.marks.length === 0 && !this.next)) return;
    this.isListed = true;
    this.agent.afterDrain(this);
  }

  drain(): void {
    this.isListed = false;
    if (this.isLeaving) return;
    const { agent } = this;
    for (let mark = this.take(); mark; mark = this.take()) {
      if (!agent.isWritten(mark.position)) {
        this.next = mark;
        // Without data in the socket something else is waited for, which tells when it is over: a hook, or the next connection.
        if (agent.connection.writableLength > 0) agent.connection.awaitDrain();
        return;
      }
      const { stream, items } = mark;
      if (this.byId.get(stream.id) !== stream) continue;
      stream.written = items;
      this.tell(stream);
    }
  }

  noteDropped(count: number): void {
    const from = this.agent.writtenPosition - count;
    for (const stream of this.byId.values()) if (stream.lastPosition > from) stream.breakOff('SLOW_CONSUMER');
    this.noteWritten();
  }

  onDefect(error: unknown): void {
    this.index.reportDefect(error, 'stream');
  }

  private take(): Mark | undefined {
    const { next } = this;
    this.next = undefined;
    return next ?? this.marks.shift();
  }
}
