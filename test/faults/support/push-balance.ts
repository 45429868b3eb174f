import { starvedMs } from '@nestgate/testing';
import { ACCEPTED, Arrivals, type Intent, SenderLog, type StreamReport } from './ledger.js';
import type { Payload } from './payload.js';

/**
 * How long before the end of a connection a push may be on its way to it, in milliseconds in which this process ran. What the gate had taken, and had not
 * written to the socket, is lost with either, and nobody can know it.
 */
const IN_FLIGHT_MS = 1_000;

/** What pushes are sent with. `confirm` is a push to the group whose outcome is asked for. */
export type PushKind = 'client' | 'uid' | 'group' | 'all' | 'confirm';

/** What a stream of pushes has come to. Deliveries are counted: one for each connection that a push is owed to. */
export interface BalanceReport extends StreamReport {
  /** Lost on their way to a connection that ended: see {@link IN_FLIGHT_MS}. Not part of `lost`. */
  readonly inFlight: number;
  /** Pushes that have no outcome yet. */
  readonly open: number;
  /** Lost pushes that a counter accounts for. Together with `silent`, all that were lost. */
  readonly counted: number;
}

/** A push that did not reach everyone whom it was owed to. */
export interface LostPush extends Pick<Intent, 'seq' | 'at'> {
  readonly kind: PushKind;
  /** The gates with a connection that it has not reached. */
  readonly gates: readonly string[];
}

/** One connection of a receiver. It is owed what is sent from when it is bound until it is known to be gone. */
export class OwedConnection {
  readonly arrivals: Arrivals;
  /** What it is owed, by number. */
  readonly owed: number[] = [];
  /** Whether it has asked to join the group, and whether that was answered. */
  mayBeInGroup = false;
  isInGroup = false;
  /** When the sender's process knew that it is over, by {@link ranMs}. */
  goneAt: number | undefined;
  /** When the pushes were sent that it is owed, by {@link ranMs}. */
  private readonly owedAt: number[] = [];

  constructor(
    log: SenderLog,
    readonly uid: string,
    readonly clientId: string,
    readonly gate: string,
  ) {
    this.arrivals = new Arrivals(log);
  }

  /** A push is sent that it is to get. */
  owe(seq: number): void {
    this.owed.push(seq);
    this.owedAt.push(ranMs());
  }

  /** Whether all that was accepted has arrived. */
  hasAll(log: SenderLog): boolean {
    return this.owed.every(seq => this.arrivals.seqs.has(seq) || log.get(seq)?.outcome !== ACCEPTED);
  }

  /** Lost messages, and those that were on their way when the connection ended. */
  missing(log: SenderLog): { readonly lost: Intent[]; readonly inFlight: Intent[] } {
    const { seqs, highest } = this.arrivals;
    const lost: Intent[] = [];
    const inFlight: Intent[] = [];
    for (const [index, seq] of this.owed.entries()) {
      const intent = log.get(seq) as Intent;
      if (intent.outcome !== ACCEPTED || seqs.has(seq)) continue;
      // What is sent to one client keeps its order: what came before something that has arrived was not on its way any more.
      const at = this.owedAt[index] as number;
      const isTail = this.goneAt !== undefined && seq > highest && at > this.goneAt - IN_FLIGHT_MS;
      (isTail ? inFlight : lost).push(intent);
    }
    return { lost, inFlight };
  }
}

/** So many losses have been counted when the sender had come to the push `upTo`. */
interface Count {
  readonly upTo: number;
  readonly from: number;
  /** The gate that has counted them; `undefined` for the sender, whose pushes are for all gates. */
  readonly gate: string | undefined;
  left: number;
}

/**
 * The books of one sender that pushes in every way to connections that come and go: `accepted = received + lost + inFlight`,
 * where each lost push must be counted on one side, or it was lost silently.
 *
 * - A push is *owed* to the connections that were bound, by what the receiver knew, when it was sent, and that nobody knew to be
 *   gone. To the group: from when the join was answered. It is owed no more when it ended with an error: the sender was told.
 * - A *confirmed* push that resolves is as good as any other that was accepted, whatever number it resolves with: a number that
 *   is too small does not say that something is missing.
 * - *In flight* is what was sent less than {@link IN_FLIGHT_MS} before the connection ended, and after all that has arrived on it.
 *   In-flight messages of a gate that is killed are lost by promise.
 * - A *counter* accounts only for pushes that were sent before it moved: the sender's for a push on all gates, a gate's for what
 *   that gate's clients miss. Where it moves within the call of a push, it accounts for that push and no other. What was in
 *   flight uses up counts first, so that these never hide another loss. One batch is one push: the sender sends one per turn of
 *   its event loop.
 * - Clients that are gone are owed nothing, so what gates count for them (`packs_dropped` as `closed`) accounts for nothing.
 */
export class PushBalance {
  readonly log: SenderLog;
  readonly connections: OwedConnection[] = [];
  private readonly kinds: PushKind[] = [];
  private readonly targets: (string | undefined)[] = [];
  private readonly counts: Count[] = [];
  private foreign = 0;

  constructor(run: string) {
    this.log = new SenderLog({ run, session: 'sender', dir: 'push' });
  }

  /** A client that is bound to its uid from now on. */
  connect(uid: string, clientId: string, gate: string): OwedConnection {
    const connection = new OwedConnection(this.log, uid, clientId, gate);
    this.connections.push(connection);
    return connection;
  }

  /** A connection is over, or what it is connected to is about to be ended by the test. */
  noteGone(connection: OwedConnection): void {
    connection.goneAt ??= ranMs();
  }

  /** Notes that a push is about to be sent, and makes it. `target` is a client id or a uid. */
  intend(kind: PushKind, target?: string): Payload {
    const payload = this.log.intend();
    this.kinds.push(kind);
    this.targets.push(target);
    for (const connection of this.connections) {
      if (connection.goneAt === undefined && isFor(connection, kind, target)) connection.owe(payload.seq);
    }
    return payload;
  }

  /** Notes what a client has received. It may come before the client is known to be bound, but must be meant for it. */
  arrive(connection: OwedConnection, body: unknown): void {
    const seq = connection.arrivals.note(body);
    if (seq === undefined) return;
    const [kind, target] = [this.kinds[seq - 1] as PushKind, this.targets[seq - 1]];
    const { mayBeInGroup: isInGroup, uid, clientId } = connection;
    if (!isFor({ isInGroup, uid, clientId }, kind, target)) this.foreign++;
  }

  /**
   * A counter has moved. `gate` is the one that has counted; `undefined` for the sender itself. `only`: the push within whose call
   * it moved.
   */
  noteCount(by: number, gate?: string, only?: number): void {
    if (by > 0) this.counts.push({ from: only ?? 1, upTo: only ?? this.log.intents.length, gate, left: by });
  }

  /** The connections that a push on some of them can be sent to now. */
  get bound(): OwedConnection[] {
    return this.connections.filter(({ goneAt }) => goneAt === undefined);
  }

  kindOf(seq: number): PushKind {
    return this.kinds[seq - 1] as PushKind;
  }

  /** Accepted pushes that did not arrive, and that nobody has counted. */
  silent(): LostPush[] {
    const lost = new Map<number, Set<string>>();
    const inFlight = new Map<number, Set<string>>();
    for (const connection of this.connections) {
      const missing = connection.missing(this.log);
      for (const { seq } of missing.lost) add(lost, seq, connection.gate);
      for (const { seq } of missing.inFlight) add(inFlight, seq, connection.gate);
    }
    // The same push, lost to one client and on its way to another, needs one count.
    for (const seq of lost.keys()) inFlight.delete(seq);
    // Each count can account for what the counts before it could, and for more: none can be wasted by going through them in order.
    for (const { from, upTo, gate, left } of [...this.counts].sort((a, b) => a.upTo - b.upTo)) {
      let rest = left;
      for (const open of [inFlight, lost]) {
        for (const seq of [...open.keys()].sort((a, b) => a - b)) {
          if (rest === 0 || seq > upTo) break;
          if (seq >= from && settle(open, seq, gate)) rest--;
        }
      }
    }
    return [...lost].map(([seq, gates]) => {
      const { at } = this.log.get(seq) as Intent;
      return { seq, at, kind: this.kindOf(seq), gates: [...gates] };
    });
  }

  report(): BalanceReport {
    const { log } = this;
    const sum = (of: (connection: OwedConnection) => number) =>
      this.connections.reduce((total, connection) => total + of(connection), 0);
    const missing = this.connections.map(connection => connection.missing(log));
    const lost = missing.reduce((total, { lost: { length } }) => total + length, 0);
    const inFlight = missing.reduce((total, { inFlight: { length } }) => total + length, 0);
    const accepted = sum(({ owed }) => owed.filter(seq => log.get(seq)?.outcome === ACCEPTED).length);
    const lostPushes = new Set(missing.flatMap(({ lost: each }) => each.map(({ seq }) => seq))).size;
    const silent = this.silent().length;
    return {
      sent: log.intents.length,
      accepted,
      received: accepted - lost - inFlight,
      lost,
      inFlight,
      open: log.open.length,
      counted: lostPushes - silent,
      silent,
      dup: sum(({ arrivals }) => arrivals.dup),
      reorder: sum(({ arrivals }) => arrivals.reorder),
      foreign: this.foreign + sum(({ arrivals }) => arrivals.foreign),
      errors: log.errors,
    };
  }
}

/** The time in which this process ran, in milliseconds. */
export function ranMs(): number {
  return performance.now() - starvedMs();
}

function isFor(
  { uid, clientId, isInGroup }: Pick<OwedConnection, 'uid' | 'clientId' | 'isInGroup'>,
  kind: PushKind,
  target: string | undefined,
): boolean {
  if (kind === 'client') return clientId === target;
  if (kind === 'uid') return uid === target;
  return kind === 'all' || isInGroup;
}

function add(open: Map<number, Set<string>>, seq: number, gate: string): void {
  const gates = open.get(seq);
  if (gates) gates.add(gate);
  else open.set(seq, new Set([gate]));
}

/** Accounts for a push, on one gate or on all; false when there it has reached everyone. */
function settle(open: Map<number, Set<string>>, seq: number, gate: string | undefined): boolean {
  const gates = open.get(seq);
  if (!gates || (gate !== undefined && !gates.delete(gate))) return false;
  if (gate === undefined || gates.size === 0) open.delete(seq);
  return true;
}
