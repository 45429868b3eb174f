import type { Peer } from '@nestgate/link/internal';

/** Streams by gate, and by the number that their gate has given to each. */
export class StreamIndex<Task> {
  private readonly streams = new Map<Peer, Map<number, Task>>();

  /** Streams of all gates. */
  get size(): number {
    let size = 0;
    for (const streams of this.streams.values()) size += streams.size;
    return size;
  }

  get(gate: Peer, stream: number): Task | undefined {
    return this.streams.get(gate)?.get(stream);
  }

  add(gate: Peer, stream: number, task: Task): void {
    const streams = this.streams.get(gate);
    if (streams) streams.set(stream, task);
    else this.streams.set(gate, new Map([[stream, task]]));
  }

  delete(gate: Peer, stream: number): void {
    const streams = this.streams.get(gate);
    streams?.delete(stream);
    if (streams?.size === 0) this.streams.delete(gate);
  }

  /** Those of the gates that match. */
  select(matches: (gate: Peer) => boolean): Task[] {
    const found: Task[] = [];
    for (const [gate, streams] of this.streams) if (matches(gate)) found.push(...streams.values());
    return found;
  }
}
