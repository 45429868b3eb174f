import type { Socket } from 'node:net';
import { present } from '@nestgate/link/internal';

/** A connection that knows its place on each list. */
type Listed = Socket & Record<symbol, number | undefined>;

/**
 * Connections, each once and in no order. A `Set` through which so many pass leaves a table behind each time it
 * is full of gaps: such tables grow old, and what they held does with them, though it is closed.
 */
export class SocketList {
  /** Only as far as `size`. It never shrinks, so that it stays the same array. */
  private readonly places: (Listed | undefined)[] = [];
  private count = 0;
  private readonly place = Symbol('place');

  get size(): number {
    return this.count;
  }

  add(socket: Socket): void {
    const listed = socket as Listed;
    if (listed[this.place] !== undefined) return;
    listed[this.place] = this.count;
    this.places[this.count++] = listed;
  }

  remove(socket: Socket): void {
    const listed = socket as Listed;
    const place = listed[this.place];
    if (place === undefined) return;
    listed[this.place] = undefined;
    const last = present(this.places[--this.count]);
    this.places[this.count] = undefined;
    if (last === listed) return;
    this.places[place] = last;
    last[this.place] = place;
  }

  /** All of them, as they are now. */
  all(): Socket[] {
    return this.places.slice(0, this.count) as Socket[];
  }
}
