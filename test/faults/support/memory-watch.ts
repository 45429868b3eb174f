import type { NodeProcess } from './node-process.js';

const EVERY_MS = 100;

/** Watches how much memory nodes take beyond what they had when it began. */
export class MemoryWatch {
  private readonly timer: NodeJS.Timeout;
  private readonly growths: Map<NodeProcess, { readonly before: number; peak: number }>;

  constructor(nodes: readonly NodeProcess[]) {
    this.growths = new Map(nodes.map(node => [node, { before: node.rss, peak: node.rss }]));
    this.timer = setInterval(() => this.look(), EVERY_MS).unref();
  }

  /** The largest growth of any of these nodes so far, in bytes. */
  growthOf(nodes: readonly NodeProcess[]): number {
    return Math.max(
      ...nodes.map(node => {
        const { before, peak } = this.growths.get(node) ?? { before: 0, peak: Number.NaN };
        return peak - before;
      }),
    );
  }

  end(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    for (const [node, growth] of this.growths) if (!node.isOver) growth.peak = Math.max(growth.peak, node.rss);
  }
}
