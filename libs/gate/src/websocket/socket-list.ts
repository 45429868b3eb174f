import type { Socket } from 'node:net';
import { present } from '@nestgate/link/internal';

/** A connection with its index in each list. */
type Listed = Socket & Record<symbol, number | undefined>;

/**
 * A set of connections, in no order. A `Set` with so many insertions and deletions would be copied each time it is full of gaps. V8
 * promotes the old tables, which retain connections that are closed until the next full collection.
 */
export class SocketList {
  /** Only the first `size` entries count. It never shrinks, so that V8 keeps the same array. */
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

  /** A copy of the list. */
  all(): Socket[] {
    return this.places.slice(0, this.count) as Socket[];
  }
}
