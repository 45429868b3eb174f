import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';

/**
 * How long a gate waits at least, in milliseconds. Nodes that were connected to the gate before dial it again within 200 ms:
 * they are to be here before its first client is, or it would miss what they push.
 */
const LEAST_MS = 500;
/** Without news of another node for so long, all are here that were on their way, in milliseconds. */
const QUIET_MS = 250;

/**
 * The first moments of a gate on a link whose other nodes come by themselves. It takes no clients until workers have announced
 * what they serve and nobody new has come for a while, `startupWait` after the link is open at the latest.
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
    // The nodes of one process are known as soon as the link is open.
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
   * Until when a module that no worker has announced may still be announced, in milliseconds of `performance.now()`: for
   * all of `startupWait`, also when clients may come sooner. 0 where there is nothing to wait for.
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
    const leastMs = (this.openedAt as number) + LEAST_MS - performance.now();
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
