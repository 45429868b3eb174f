import { starvedMs } from '@nestgate/testing';
import type { NodeProcess } from './node-process.js';

/**
 * What these nodes and this process have waited for a core since this was made: on a machine that does other things they keep what
 * they promise so much later. With nothing else on the machine it is next to nothing.
 */
export class Starvation {
  private readonly pids: readonly (number | undefined)[];
  private readonly before: number;

  constructor(nodes: readonly NodeProcess[]) {
    this.pids = [process.pid, ...nodes.map(({ pid }) => pid)];
    this.before = starvedMs(this.pids);
  }

  /** So far, in milliseconds. */
  get ms(): number {
    // One that was ended meanwhile counts no more.
    return Math.max(0, starvedMs(this.pids) - this.before);
  }
}
