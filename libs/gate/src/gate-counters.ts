import { Injectable } from '@nestjs/common';
import { isErrorCode } from '@nestgate/protocol';

/** What a gate counts. Each has a label, such as an error code or a close code. */
export type GateCounter =
  /** Upgrades refused, by HTTP status. */
  | 'handshakes_refused'
  /** Connections ended by the gate, by close code. */
  | 'connections_closed'
  /** Frames answered with an error, by code; codes of the application's own are `custom`. */
  | 'frames_refused'
  /** Frames that nobody has handled because their client had gone while they waited, by reason. */
  | 'frames_abandoned'
  /**
   * Times that the gate has stopped reading a client: it has too many frames `unanswered`, or the next one has to be
   * `waiting`, for a hook or an earlier frame.
   */
  | 'reads_paused'
  /** Packs not sent to their client, by reason. */
  | 'packs_dropped'
  /**
   * Times that more waited for a client than may, by what was too much: its queue is `full`, the queues of all such clients
   * together are (`gate_full`), or its socket has `stalled` and takes nothing.
   */
  | 'slow_clients'
  /** Clients that were not bound, by reason: `revoked`. */
  | 'binds_refused'
  /** Logins announced by another node that were refused, by what was wrong: `role`, `client`, `uid`, `clock`. */
  | 'claims_refused'
  /**
   * Clients that hold a uid which another client wants, by what a ping has shown: they have `answered`, were `silent` and are closed,
   * or cannot be asked (`no_ping`).
   */
  | 'logins_probed'
  /** Revocations that were forgotten before their time, by reason: `full`. */
  | 'revocations_forgotten'
  /**
   * What other nodes wanted of clients, and was dropped after this gate had stood still: it was `stale`, or there was too much to
   * hold (`full`).
   */
  | 'calls_dropped'
  /** Changes of sessions that a limit has refused, by what there was too much of: `groups`, `settings`. */
  | 'limits_exceeded'
  /** Calls of the storage that failed, by code. */
  | 'storage_failures'
  /** Clients whose coming or going no worker has heard of, though one listens: `connect`, `disconnect`. */
  | 'events_lost'
  /** Times that a resumable session has lost its connection, by close code. */
  | 'sessions_detached'
  /** Times that a session has gone on with another connection, by where it was: `here`, or on another gate (`moved`). */
  | 'sessions_resumed'
  /**
   * Sessions that another gate has asked for, by what became of it: they are `away`, or stay here because the other gate is `lost`, was
   * `late`, or has `declined`, or a change of the session took too long (`busy`).
   */
  | 'sessions_moved'
  /**
   * Sessions that came from another gate, and may miss messages, by why: a node has not said in time that it sends to this gate (`link`),
   * or the other gate was lost on the way (`gate-lost`).
   */
  | 'moves_in_doubt'
  /** Clients that were given a place elsewhere, by what: a `worker` that has joined, or another `gate`, to which they were asked to move. */
  | 'clients_rebalanced'
  /** Attempts to resume a session that were refused, by code. */
  | 'resumes_refused'
  /**
   * Sessions that ended because they were without a connection: for too long (`expired`), or there were too many, in all (`full`) or of
   * one address (`address`).
   */
  | 'sessions_expired'
  /** Sessions that were `written` to `resume.spoolDir` at the end, or `read` from it at the start. */
  | 'sessions_spooled'
  /**
   * What of `resume.spoolDir` was not used, by why: the `folder` itself, a file (`torn`, `version`, `foreign`, `mode`, `size`, `age`,
   * `count`, `unreadable`), one `session` of it; or it could not be written (`unwritten`).
   */
  | 'spools_refused'
  /** Times that a client was told that messages are missing, by why. */
  | 'resume_gaps'
  /** Acknowledgements that a sender wanted to wait for, and the gate did not, by reason: too many are waited for (`full`). */
  | 'receipts_refused'
  /** Answers to requests that their client did not wait for any more, by reason. */
  | 'answers_dropped'
  /** Streams, by how they have ended: at their `end`, by `cancel` of the client, by an `error`, or the client is gone (`client_gone`). */
  | 'streams_ended'
  /** Items of streams that were not sent, because their stream had `ended`. */
  | 'items_dropped'
  /** Frames of clients about what does not exist (any more): a `cancel` of a stream, an `answer` to a call. */
  | 'frames_ignored';

/** What a label outside of the known ones becomes. */
const CUSTOM = 'custom';
/** Labels that one counter may have; further ones become {@link CUSTOM}. */
const MAX_LABELS = 100;

/** Counts, by name and label, what a gate refuses and drops. */
@Injectable()
export class GateCounters {
  /** Frames of clients that the gate has taken up, heartbeats included, whatever became of them. */
  framesReceived = 0;
  /** Frames whose handler, or hook, has ended without an error. */
  framesHandled = 0;
  /** Packs taken to be sent to clients. Those that never were are in `packs_dropped`. */
  packsQueued = 0;
  private readonly counts = new Map<GateCounter, Map<string, number>>();

  add(counter: GateCounter, label: string | number, by = 1): void {
    let labels = this.counts.get(counter);
    if (!labels) this.counts.set(counter, (labels = new Map()));
    const key = keyOf(counter, String(label), labels);
    labels.set(key, (labels.get(key) ?? 0) + by);
  }

  get(counter: GateCounter, label: string | number): number {
    return this.counts.get(counter)?.get(String(label)) ?? 0;
  }

  /** All counts now, as `{counter: {label: count}}`. */
  snapshot(): Record<string, Record<string, number>> {
    return Object.fromEntries([...this.counts].map(([counter, labels]) => [counter, Object.fromEntries(labels)]));
  }
}

/**
 * Whatever a label is made of, there is room for so many of them: a handler may throw a code that its client has sent, which
 * must not grow this table, nor what is made of it.
 */
function keyOf(counter: GateCounter, label: string, known: ReadonlyMap<string, number>): string {
  if (known.has(label)) return label;
  if (counter === 'frames_refused') return isErrorCode(label) ? label : CUSTOM;
  return known.size < MAX_LABELS ? label : CUSTOM;
}
