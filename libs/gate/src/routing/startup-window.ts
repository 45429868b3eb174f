import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { present } from '@nestgate/link/internal';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';

/**
 * Minimum wait of a gate, in milliseconds. Nodes that were connected to the gate before its restart dial it again within 200 ms.
 * They must be connected before the first client, which would otherwise miss their pushes.
 */
const LEAST_MS = 500;
/** Without news of another node for so long, all are here that were on their way, in milliseconds. */
const QUIET_MS = 250;

/**
 * The time after the start of a gate in which other nodes connect. The gate accepts no clients until workers have announced their
 * modules and no new node has joined for a while, at the latest `startupWait` after the link is open.
 */
@Injectable()
export class StartupWindow implements OnModuleDestroy {
  /** Whether clients may come. */
  isOver: boolean;
  private openedAt: number | undefined;
  private endTimer: NodeJS.Timeout | undefined;
  private quietTimer: NodeJS.Timeout | undefined;
  private stopListening: (() => void) | undefined;
  private resolve: () => void = () => undefined;
  private readonly over = new Promise<void>(resolve => {
    this.resolve = resolve;
  });

  constructor(
    private readonly node: LinkNode,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: Pick<ResolvedGateOptions, 'startupWait'>,
  ) {
    // All nodes of one process are known when the link is open.
    this.isOver = options.startupWait === 0 || node.knowsAllAtOpen;
  }

  onModuleDestroy(): void {
    this.finish();
  }

  /** Resolves when clients may come. */
  whenOver(): Promise<void> {
    return this.isOver ? Promise.resolve() : this.over;
  }

  /**
   * The time until which an unknown module may still be announced, in milliseconds of `performance.now()`: the whole `startupWait`,
   * also when the gate accepts clients earlier. 0 without a wait.
   */
  get modulesKnownAt(): number {
    return this.openedAt === undefined ? 0 : this.openedAt + this.options.startupWait;
  }

  /** The link is open, and the gate about to listen. */
  begin(): void {
    if (this.isOver || this.openedAt !== undefined) return;
    this.openedAt = performance.now();
    this.endTimer = setTimeout(() => this.finish(), this.options.startupWait);
    this.stopListening = this.node.onPeer(() => this.listenForQuiet());
    this.listenForQuiet();
  }

  private listenForQuiet(): void {
    clearTimeout(this.quietTimer);
    if (![...this.node.peers.values()].some(({ info }) => info.modules.length > 0)) return;
    const leastMs = present(this.openedAt) + LEAST_MS - performance.now();
    this.quietTimer = setTimeout(() => this.finish(), Math.max(QUIET_MS, leastMs));
  }

  private finish(): void {
    clearTimeout(this.endTimer);
    clearTimeout(this.quietTimer);
    this.stopListening?.();
    this.isOver = true;
    this.resolve();
  }
}
