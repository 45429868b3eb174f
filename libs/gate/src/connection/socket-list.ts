import type { Socket } from 'node:net';

const PLACE = Symbol('place');

interface Listed extends Socket {
  [PLACE]?: number | undefined;
}

/**
 * Connections, each once and in no order; one can be on one list only. A `Set` through which so many pass leaves a table behind each time it
 * is full of gaps: such tables grow old, and what they held does with them, though it is closed.
 */
export class SocketList {
  /** Only as far as `size`. It never shrinks, so that it stays the same array. */
  private readonly places: (Listed | undefined)[] = [];
  private count = 0;

  get size(): number {
    return this.count;
  }

  add(socket: Listed): void {
    if (socket[PLACE] !== undefined) return;
    socket[PLACE] = this.count;
    this.places[this.count++] = socket;
  }

  remove(socket: Listed): void {
    const place = socket[PLACE];
    if (place === undefined) return;
    socket[PLACE] = undefined;
    const last = this.places[--this.count] as Listed;
    this.places[this.count] = undefined;
    if (last === socket) return;
    this.places[place] = last;
    last[PLACE] = place;
  }

  /** All of them, as they are now. */
  all(): Socket[] {
    return this.places.slice(0, this.count) as Socket[];
  }
}
