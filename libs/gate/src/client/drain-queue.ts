import { Buffer } from 'node:buffer';

const EMPTY = new Uint8Array(0);
const NONE: readonly Uint8Array[] = [];

/** A queue that writes its content when it is drained. */
export interface Drainable {
  drain(): void;
  /** Called with an exception of {@link drain}; the other queues of the turn are still drained. Never throws. */
  onDefect(error: unknown): void;
}

/**
 * Merges writes: clients with queued frames add themselves. One microtask drains all of them, after the current chunk of input was
 * processed. A socket then gets one write for all its frames of that chunk.
 */
export class DrainQueue {
  private dirty: Drainable[] = [];
  /** Alternates with {@link dirty}, so that neither array is replaced; `Outbox` explains why. */
  private spare: Drainable[] | undefined = undefined;
  private scheduled = false;
  private lastFirst: Uint8Array = EMPTY;
  private lastRest = NONE;
  private lastData: Uint8Array = EMPTY;

  add(item: Drainable): void {
    this.dirty.push(item);
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(this.drainAll);
  }

  /** Joins frames with `bytes` in total. Members of a group often get the same frames one after another, and then share the result. */
  merge(first: Uint8Array, rest: readonly Uint8Array[], bytes: number): Uint8Array {
    if (!this.areLast(first, rest)) {
      this.lastFirst = first;
      this.lastRest = rest.slice();
      this.lastData = join(first, rest, bytes);
    }
    return this.lastData;
  }

  private areLast(first: Uint8Array, rest: readonly Uint8Array[]): boolean {
    const { lastFirst, lastRest } = this;
    if (first !== lastFirst || rest.length !== lastRest.length) return false;
    for (let i = 0; i < rest.length; i++) if (rest[i] !== lastRest[i]) return false;
    return true;
  }

  private readonly drainAll = (): void => {
    this.scheduled = false;
    const items = this.dirty;
    this.dirty = this.spare ?? [];
    this.spare = undefined;
    for (const item of items) {
      try {
        item.drain();
      } catch (error) {
        item.onDefect(error);
      }
    }
    items.length = 0;
    this.spare = items;
    // Kept for one drain only: it would retain frames that were sent.
    this.lastFirst = EMPTY;
    this.lastRest = NONE;
    this.lastData = EMPTY;
  };
}

function join(first: Uint8Array, rest: readonly Uint8Array[], bytes: number): Uint8Array {
  const joined = Buffer.allocUnsafe(bytes);
  joined.set(first);
  let at = first.length;
  for (const frame of rest) {
    joined.set(frame, at);
    at += frame.length;
  }
  return joined;
}
