import { setTimeout as delay } from 'node:timers/promises';
import type { LinkNode } from '@nestgate/link';
import { parseClientId } from '@nestgate/link';
import { clientIdPrefix, type SessionTransfer } from '@nestgate/link/internal';
import { CLOSE, GateError } from '@nestgate/protocol';
import { BoundedLog } from '@nestgate/worker/internal';
import type { GateCounters } from '../gate-counters.js';
import type { ResolvedResumeOptions } from '../gate-options.js';
import type { Hub } from '../hub/hub.js';
import type { EndedSessions } from '../resume/ended-sessions.js';
import { ResumableConnection } from '../resume/resumable-connection.js';
import type { RingBudget } from '../resume/ring-budget.js';
import type { Spool, SpooledEnd, SpooledSession } from './spool-file.js';
import { SpoolFolder } from './spool-folder.js';

/** What a file may be larger than `totalBytes`, for what there is of sessions beside their frames. */
const SESSIONS_BYTES = 64 * 1024 * 1024;
/** How long a message that a hook is making may hold up the end, in milliseconds. */
const MAKING_MS = 500;
const MAKING_POLL_MS = 10;
/** The owner of the files of a gate whose id is another one at each start. */
const NAMELESS = 'gate';
/** Requests that run when the gate ends may have been handled. */
const LOST = new GateError('WORKER_LOST').toBody();

/** What is needed of the sessions of a gate. */
export interface SpoolHost {
  readonly node: LinkNode;
  readonly hub: Hub;
  readonly counters: GateCounters;
  readonly options: ResolvedResumeOptions;
  readonly ended: EndedSessions;
  readonly budget: RingBudget;
  /** Everything that a gate has to know of a session that goes on with it. */
  describe(connection: ResumableConnection): { readonly transfer: SessionTransfer; readonly wire: string };
  keyOfId(clientId: string): Buffer;
  /** Makes a client of a session, with its groups and its uid. */
  adopt(transfer: SessionTransfer, wire: string): ResumableConnection | undefined;
  /** The session waits so long for its client. */
  wait(connection: ResumableConnection, ms: number): void;
  /** It does not wait any more. */
  release(connection: ResumableConnection): void;
  /** Tells all nodes that the session is here. */
  announce(connection: ResumableConnection): void;
}

/** Keeps the sessions of a gate on disk while it does not run: `resume.spoolDir`. */
export class SpooledSessions {
  private readonly log = new BoundedLog('SessionSpool');
  private readonly folder: SpoolFolder;
  private isUsable = false;

  constructor(
    private readonly host: SpoolHost,
    folder: string,
    nodeId: string | undefined,
  ) {
    const { counters, options } = host;
    this.folder = new SpoolFolder({
      folder,
      owner: nodeId ?? NAMELESS,
      maxBytes: options.totalBytes + SESSIONS_BYTES,
      onRefused: (why, what) => {
        counters.add('spools_refused', why);
        this.log.warn(`resume.spoolDir: ${what}`);
      },
    });
  }

  /** Goes on with the sessions of the last run. Before the first client is accepted. */
  restore(): void {
    this.isUsable = this.folder.prepare();
    if (!this.isUsable) return;
    let count = 0;
    for (const spool of this.folder.take()) this.host.budget.shareAll(() => (count += this.restoreAll(spool)));
    this.host.counters.add('sessions_spooled', 'read', count);
    if (count > 0) this.log.log(`${count} sessions of the last run are kept for their clients`);
  }

  /**
   * Writes all sessions and ends them here, without hooks. Sessions that cannot be written stay, and end as they do without a spool.
   */
  async save(): Promise<void> {
    if (!this.isUsable) return;
    const until = performance.now() + MAKING_MS;
    while (this.connections().some(({ queue }) => queue.isMaking) && performance.now() < until)
      await delay(MAKING_POLL_MS);
    // From here on all in one turn: a message is queued before its session is written, or finds no session.
    // Those without a connection first: else one that loses it now could be one too many.
    const connections = this.connections().toSorted((a, b) => Number(b.isAway) - Number(a.isAway));
    const ended = this.host.ended.list(performance.now()).map(each => this.endOf(each));
    if (connections.length === 0 && ended.length === 0) return;
    for (const connection of connections) {
      connection.fence(CLOSE.restarting.code, CLOSE.restarting.reason);
      this.host.release(connection);
    }
    const sessions = connections
      .toSorted((a, b) => b.lostAt - a.lostAt)
      .map(connection => ({ connection, session: this.sessionOf(connection) }));
    let written = 0;
    try {
      written = this.folder.write({ writtenAt: Date.now(), sessions: sessions.map(({ session }) => session), ended });
    } catch (error) {
      this.host.counters.add('spools_refused', 'unwritten');
      this.log.error(error, 'resume.spoolDir');
    }
    for (const [at, { connection }] of sessions.entries()) {
      if (at < written) connection.agent.onClose(CLOSE.restarting.code, CLOSE.restarting.reason);
      else connection.isHandedOver = false;
    }
    this.host.counters.add('sessions_spooled', 'written', written);
    const left = sessions.length - written;
    if (left > 0) this.log.warn(`${left} of ${sessions.length} sessions are not written, and end`);
    else this.log.log(`${written} sessions are written`);
  }

  private restoreAll({ writtenAt, sessions, ended }: Spool): number {
    const { counters } = this.host;
    // A clock that was set back makes no session younger than it was.
    const downMs = Math.max(0, Date.now() - writtenAt);
    const now = performance.now();
    for (const each of ended) this.remember(each, now - each.agoMs - downMs);
    let count = 0;
    // Those that have been away longest come first.
    for (const session of sessions.toSorted((a, b) => b.transfer.awayMs - a.transfer.awayMs)) {
      if (this.restoreOne(session, downMs)) count++;
      else counters.add('spools_refused', 'session');
    }
    return count;
  }

  private connections(): ResumableConnection[] {
    const connections: ResumableConnection[] = [];
    for (const { connection } of this.host.hub.all()) {
      if (connection instanceof ResumableConnection && !connection.isHandedOver && connection.isWelcomed)
        connections.push(connection);
    }
    return connections;
  }

  private sessionOf(connection: ResumableConnection): SpooledSession {
    const { agent, queue } = connection;
    for (const id of agent.unansweredIds) agent.sendError(id, LOST);
    const { transfer, wire } = this.host.describe(connection);
    queue.rewind(transfer.seen);
    queue.passGap();
    return { wire, transfer: { ...transfer, isRunning: false, workers: [] }, items: queue.takeTail(Infinity) };
  }

  private endOf({ clientId, ended, agoMs }: ReturnType<EndedSessions['list']>[number]): SpooledEnd {
    const { generation, confirmed, closeCode, key = this.host.keyOfId(clientId) } = ended;
    return { clientId, generation, confirmed, key: key.toString('base64'), closeCode, agoMs };
  }

  private remember({ clientId, generation, confirmed, key, closeCode }: SpooledEnd, endedAt: number): void {
    this.host.ended.add(clientId, { generation, confirmed, key: Buffer.from(key, 'base64'), closeCode, endedAt });
  }

  private restoreOne({ wire, transfer, items }: SpooledSession, downMs: number): boolean {
    const { node, options } = this.host;
    const { snapshot, awayMs, ageMs, expiresInMs } = transfer;
    // The clock was set back to when the last run began, and ids of now are those of then.
    if (
      !parseClientId(snapshot.sessionId) ||
      snapshot.sessionId.startsWith(clientIdPrefix(node.info.id, node.info.epoch))
    )
      return false;
    const connection = this.host.adopt(
      {
        ...transfer,
        awayMs: awayMs + downMs,
        ageMs: ageMs + downMs,
        expiresInMs: expiresInMs === undefined ? undefined : expiresInMs - downMs,
      },
      wire,
    );
    if (!connection) return false;
    const { queue, agent } = connection;
    queue.takeForwarded(items, false);
    queue.release();
    const keepMs = agent.sessionState.userId === '' ? options.keepGuestMs : options.keepMs;
    this.host.wait(connection, Math.max(0, keepMs - awayMs - downMs));
    this.host.announce(connection);
    return true;
  }
}
