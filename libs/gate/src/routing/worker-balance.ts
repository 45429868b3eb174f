import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import type { Peer } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Hub } from '../hub/hub.js';
import { TopicRouter } from './topic-router.js';
import { WorkerDirectory } from './worker-directory.js';

/** A worker that has joined gets clients after so long, in milliseconds: it may leave again, and others may follow. */
const SETTLE_MS = 5_000;
/** Interval at which clients are given to it, in milliseconds. */
const TICK_MS = 100;
/** How long clients that are always busy are waited for, in milliseconds. */
const BUSY_MS = 60_000;
/** Clients that are looked at in one interval. */
const LOOKED_AT = 2_000;

/** The workers that can do what one worker does, itself included, and those of them that have joined. */
interface Group {
  readonly all: readonly Peer[];
  readonly joined: readonly Peer[];
}

/**
 * Gives workers that have joined a share of the clients: those that have nothing unanswered, so that their frames stay in order. Without it,
 * clients that are connected for long would stay with the workers that were there when they came. Runs after a worker has joined, and
 * ends when the shares are even, or nothing more can be moved. A client that is busy is looked at again, for a minute.
 */
@Injectable()
export class WorkerBalance implements OnApplicationShutdown {
  private known: ReadonlySet<Peer>;
  private readonly joined = new Set<Peer>();
  private settling: NodeJS.Timeout | undefined;
  private ticking: NodeJS.Timeout | undefined;
  private clients: Iterator<ClientAgent> | undefined;
  private movedInPass = 0;
  private busyInPass = 0;
  /** Until then it waits for busy clients, of `performance.now()`. */
  private endsAt = 0;
  private readonly stopListening: () => void;

  constructor(
    private readonly directory: WorkerDirectory,
    private readonly hub: Hub,
    private readonly router: TopicRouter,
    private readonly counters: GateCounters,
    private readonly node: LinkNode,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: Pick<ResolvedGateOptions, 'rebalanceRate'>,
  ) {
    this.known = directory.workers;
    this.stopListening = directory.onChange(() => this.note());
  }

  onApplicationShutdown(): void {
    this.stopListening();
    this.stop();
    clearTimeout(this.settling);
  }

  /** Workers have come, changed or gone. */
  private note(): void {
    const { workers } = this.directory;
    const before = this.known;
    this.known = workers;
    for (const worker of this.joined) if (!workers.has(worker)) this.joined.delete(worker);
    if (this.options.rebalanceRate === 0 || this.router.hasChoice) return;
    const joined = [...workers].filter(worker => !before.has(worker));
    if (joined.length === 0) return;
    for (const worker of joined) this.joined.add(worker);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.begin(), SETTLE_MS).unref();
  }

  private begin(): void {
    this.clients = undefined;
    this.endsAt = performance.now() + BUSY_MS;
    this.ticking ??= setInterval(
      this.node.defects.guard('router.balance', () => this.moveSome()),
      TICK_MS,
    ).unref();
  }

  private stop(): void {
    clearInterval(this.ticking);
    this.ticking = undefined;
    this.clients = undefined;
    this.joined.clear();
  }

  private moveSome(): void {
    const groups = this.groups();
    let left = Math.max(1, Math.round((this.options.rebalanceRate * TICK_MS) / 1_000));
    for (let looked = 0; looked < LOOKED_AT && left > 0; looked++) {
      const agent = this.next();
      if (!agent) return;
      const { worker } = agent;
      const to = worker && this.targetFor(worker, groups.get(worker));
      if (!to || !this.mayMove(agent)) continue;
      if (agent.unansweredCount > 0) {
        this.busyInPass++;
        continue;
      }
      this.router.shift(agent, to);
      this.counters.add('clients_rebalanced', 'worker');
      this.movedInPass++;
      left--;
    }
  }

  /** The next client of the gate; `undefined` after the last one. */
  private next(): ClientAgent | undefined {
    this.clients ??= this.hub.all();
    const client = this.clients.next();
    if (client.done !== true) return client.value;
    this.clients = undefined;
    // Clients that were busy in this pass may be idle in the next one.
    const hasWork = this.busyInPass > 0 && performance.now() < this.endsAt;
    if (this.movedInPass === 0 && !hasWork) this.stop();
    this.movedInPass = 0;
    this.busyInPass = 0;
    return undefined;
  }

  private groups(): Map<Peer, Group> {
    const { workers } = this.directory;
    const groupOf = ({ info: { modules } }: Peer): Group => {
      const all = [...workers].filter(({ info }) => modules.every(module => info.modules.includes(module)));
      return { all, joined: all.filter(each => this.joined.has(each)) };
    };
    return new Map([...workers].map(worker => [worker, groupOf(worker)]));
  }

  /** A worker that has joined and has less than its share, for a client of one that has more. */
  private targetFor(worker: Peer, group: Group | undefined): Peer | undefined {
    if (!group || group.joined.length === 0) return undefined;
    const { directory } = this;
    const share = group.all.reduce((sum, each) => sum + directory.clientsOf(each), 0) / group.all.length;
    if (directory.clientsOf(worker) <= share) return undefined;
    return group.joined.find(each => directory.clientsOf(each) < Math.floor(share));
  }

  /** Whether a client may be given to another worker, once it has nothing unanswered. */
  private mayMove(agent: ClientAgent): boolean {
    return agent.isShaked && !agent.isClosed && !agent.isAway && !this.router.isPinned(agent);
  }
}
