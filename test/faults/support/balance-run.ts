import { waitUntil } from '@nestgate/testing';
import { EndlessSender } from './endless-sender.js';
import type { FaultCluster } from './fault-cluster.js';
import { type BalanceReport, PushBalance } from './push-balance.js';
import { type ReceiverPlace, ReturningReceiver } from './returning-receiver.js';

/** How often gates are asked for their counters, in milliseconds. What they have counted since is lost with a gate that is killed. */
const COUNTERS_MS = 100;
/** How long a receiver stays that leaves and comes back all the time, in milliseconds. */
const LEAVES_AFTER_MS = 350;
/** How long the last pushes may take to arrive, in milliseconds. */
const LAST_MS = 8_000;
/** Packs that were meant for clients which are gone: not owed. */
const NOT_OWED = 'closed';

/** Receivers on the gates of a cluster. */
export interface BalanceRunOptions {
  /** How the sender reaches the gates. @defaultValue as the workers do */
  readonly senderLink?: string;
  /** Receivers on each gate that stay. @defaultValue 2 */
  readonly perGate?: number;
  /** Whether one more on each gate leaves and comes back all the time. @defaultValue true */
  readonly churn?: boolean;
  /** Whether it may start while there is no gate yet. */
  readonly early?: boolean;
  /** Where the receivers of a gate connect, when not to the gate itself. */
  readonly portOf?: (gate: number) => number;
}

/** A sender that never stops, and receivers that always come back: what a fault is tried on. */
export class BalanceRun {
  readonly receivers: ReturningReceiver[] = [];
  private readonly marks: { readonly what: string; readonly at: number }[] = [];
  private readonly timer: NodeJS.Timeout;
  /** What each gate has counted, as far as the books know it. */
  private readonly noted = new Map<string, number>();

  private constructor(
    private readonly cluster: FaultCluster,
    readonly balance: PushBalance,
    readonly sender: EndlessSender,
    places: readonly ReceiverPlace[],
  ) {
    for (const [index, place] of places.entries()) {
      this.receivers.push(new ReturningReceiver(uidOf(index), place, balance));
    }
    this.timer = setInterval(() => void this.noteCounts(), COUNTERS_MS);
  }

  /** Starts sender and receivers; resolves when everything flows, or, with `early`, at once. */
  static async start(
    cluster: FaultCluster,
    { senderLink = cluster.workerLink, perGate = 2, churn = true, early = false, portOf }: BalanceRunOptions = {},
  ): Promise<BalanceRun> {
    const balance = new PushBalance(cluster.run);
    const places = cluster.gateNames.flatMap((gate, index): ReceiverPlace[] => {
      const port = () => portOf?.(index) ?? cluster.gates[index]?.port ?? 0;
      const staying = Array.from({ length: perGate }, () => ({ gate, port }));
      return churn ? [...staying, { gate, port, leavesAfterMs: LEAVES_AFTER_MS }] : staying;
    });
    const sender = await EndlessSender.start(
      senderLink,
      balance,
      places.map((_, index) => uidOf(index)),
    );
    const run = new BalanceRun(cluster, balance, sender, places);
    if (!early) await run.flows();
    return run;
  }

  /** Notes when something was done to the cluster. */
  mark(what: string): void {
    this.marks.push({ what, at: Date.now() });
  }

  /** The gate with this number is about to be ended: nothing is owed to its clients any more. */
  expectEndOf(gate: number): void {
    const name = this.cluster.gateNames[gate];
    for (const receiver of this.receivers) if (receiver.place.gate === name) receiver.expectEnd();
  }

  /** Waits until each receiver that stays is bound, and gets pushes. */
  async flows(timeoutMs = 30_000): Promise<void> {
    const staying = this.receivers.filter(({ place }) => place.leavesAfterMs === undefined);
    await waitUntil('all receivers to be bound', () => staying.every(({ isWhole }) => isWhole), timeoutMs);
    const before = this.balance.log.intents.length;
    const getsPushes = ({ connection }: ReturningReceiver): boolean =>
      connection !== undefined && connection.arrivals.highest > before;
    await waitUntil('pushes to each receiver', () => staying.every(getsPushes), timeoutMs);
  }

  /** Sends no more, and waits until what was accepted has had its time to arrive, and to be counted. */
  async stop(lastMs = LAST_MS): Promise<BalanceReport> {
    await this.sender.stop();
    const { balance } = this;
    const isBalanced = async (): Promise<boolean> => {
      await this.noteCounts();
      return balance.silent().length === 0;
    };
    await waitUntil('the last pushes and counters', isBalanced, lastMs).catch(() => undefined);
    clearInterval(this.timer);
    return balance.report();
  }

  /** Ends what it has started. */
  async end(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.receivers.map(receiver => receiver.stop()));
    await this.sender.close();
  }

  /** Errors with which receivers were answered when they joined the group, by code. */
  get refusals(): Record<string, number> {
    return sum(this.receivers.map(({ refusals }) => refusals));
  }

  /** Codes with which receivers were closed. */
  get closes(): Record<string, number> {
    return sum(this.receivers.map(({ closes }) => closes));
  }

  /** What was lost in silence: how many of which kind on which gate, and when, counted from the last thing done before it. */
  describeSilent(): string {
    const spans = new Map<string, { count: number; first: number; last: number }>();
    for (const { kind, gates, at } of this.balance.silent()) {
      const mark = this.marks.findLast(each => each.at <= at);
      const key = `${kind}@${gates.join('+')} after ${mark?.what ?? 'the start'}`;
      const offset = at - (mark?.at ?? this.balance.log.intents[0]?.at ?? at);
      const span = spans.get(key);
      spans.set(key, { count: (span?.count ?? 0) + 1, first: span?.first ?? offset, last: offset });
    }
    return [...spans].map(([key, { count, first, last }]) => `${count} ${key} +${first}…${last} ms`).join('; ');
  }

  private async noteCounts(): Promise<void> {
    await Promise.all(
      this.cluster.gates.map(async (gate, index) => {
        if (!gate || gate.isOver) return;
        const state = await Promise.race([gate.state(), gate.exited]);
        if (!('counters' in state)) return;
        const { counters, counts = {} } = state;
        const dropped = Object.entries(counts['packs_dropped'] ?? {}).filter(([reason]) => reason !== NOT_OWED);
        const losses = dropped.reduce((total, [, count]) => total + count, counters['gaps'] ?? 0);
        const noted = this.noted.get(gate.id) ?? 0;
        if (losses <= noted) return;
        this.noted.set(gate.id, losses);
        this.balance.noteCount(losses - noted, this.cluster.gateNames[index]);
      }),
    );
  }
}

function uidOf(index: number): string {
  return `user-${index}`;
}

function sum(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const counts of all) for (const [key, count] of Object.entries(counts)) total[key] = (total[key] ?? 0) + count;
  return total;
}
