import type { NodeRole } from '../link.js';
import { count, flag, json, list, nothing, optional, struct, text } from '../wire/codec.js';
import { allOp, any, concat, mergeRecords, nodeOp, ownerQueryOp, queryOp, sum } from '../wire/operation.js';

/** What a gate adds to its report. The counts grow from its start on. */
export interface GateReport {
  /** Sessions, those without a connection included. */
  readonly clients: number;
  /** Sessions without a connection. */
  readonly detached: number;
  readonly uids: number;
  readonly groups: number;
  readonly framesReceived: number;
  readonly framesHandled: number;
  readonly packsQueued: number;
  /** Frames answered with an error. */
  readonly framesRefused: number;
}

/** A node at one moment. */
export interface NodeReport {
  readonly id: string;
  readonly role: NodeRole;
  /** The version of nestgate. */
  readonly version: string;
  /** The version of Node. */
  readonly runtime: string;
  readonly uptimeMs: number;
  /** Its wall clock, in milliseconds since the epoch. */
  readonly clock: number;
  /** Share of one CPU since the previous report; 0 in the first one. */
  readonly cpu: number;
  /** Delay of the event loop since the previous reading, in milliseconds. */
  readonly loopDelayMs: number;
  /** Memory in RAM. */
  readonly memoryBytes: number;
  readonly isDraining: boolean;
  readonly isLinkUp: boolean;
  /** Other nodes that it knows, by role. */
  readonly peers: Readonly<Record<NodeRole, number>>;
  /** Of a gate. */
  readonly gate?: GateReport | undefined;
  /** Of a node with handlers. */
  readonly handlers?: { readonly running: number; readonly waiting: number; readonly clients: number } | undefined;
}

/** A session in a list. */
export interface ClientRow {
  readonly clientId: string;
  /** `''` for a guest. */
  readonly uid: string;
  readonly network: string;
  readonly ip: string;
  /** In milliseconds since the epoch. */
  readonly connectedAt: number;
  /** Whether it has no connection at the moment. */
  readonly isAway: boolean;
}

/** A session in detail. */
export interface ClientDetail extends ClientRow {
  readonly groups: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
  /** The worker that has handled its last frame; `''` before the first one. */
  readonly worker: string;
  /** Messages received from it, and queued for it. */
  readonly received: number;
  readonly sent: number;
  /** Frames that are being handled. */
  readonly unanswered: number;
  /** Messages that wait for it to read them. */
  readonly queuedPacks: number;
  readonly queuedBytes: number;
  /** Whether its gate has paused its socket. */
  readonly isPaused: boolean;
}

/** A frame of a tapped session. */
export interface TapFrame {
  /** Counts from 1. */
  readonly n: number;
  /** When the gate has read it, or made it, in milliseconds since the epoch. */
  readonly at: number;
  /** Whether the client has sent it, or receives it. */
  readonly way: 'in' | 'out';
  readonly kind:
    | 'request'
    | 'message'
    | 'reply'
    | 'push'
    | 'error'
    | 'item'
    | 'end'
    | 'call'
    | 'answer'
    | 'cancel'
    | 'ping'
    | 'pong'
    | 'malformed';
  /** Of a reply the one of its request, as far as that was seen too. */
  readonly topic?: string | undefined;
  /** The id of the request, or the number of the call; 0 for none. */
  readonly id: number;
  /** Its size, as its client sees it. */
  readonly bytes: number;
  /** The redacted body as JSON, at most 1,024 characters of it; in brackets what is not JSON. */
  readonly body?: string | undefined;
  readonly isCut?: boolean | undefined;
  /** The code of an error. */
  readonly code?: string | undefined;
  /** Of a tap of several sessions: whose frame it is. */
  readonly clientId?: string | undefined;
}

/** What a tap has seen since the previous answer. */
export interface TapAnswer {
  readonly frames: readonly TapFrame[];
  /** What asks for the next frames. */
  readonly cursor: string;
  /** Frames that were not recorded, because there were too many. */
  readonly skipped: number;
  readonly endsInMs: number;
  /** Whether no more frames will come: its time is over, or its client is gone. */
  readonly isOver: boolean;
}

/** What one gate has seen of a tap by topic since it was asked last. */
export interface GateTapAnswer extends Pick<TapAnswer, 'frames' | 'skipped' | 'endsInMs' | 'isOver'> {
  /** Sessions that it taps, and sessions that it has. */
  readonly tapped: number;
  readonly clients: number;
}

const rows = json<readonly ClientRow[]>();
const reports = json<readonly NodeReport[]>();

/** What operators ask gates, by the admin page, the HTTP API and the command line. Ids are never reused. */
export const operateContract = {
  /** The report of the gate, and those of the nodes that are connected to it and are no gates. */
  inspect: queryOp(150, nothing, reports, concat<NodeReport>()),
  /** Each gate answers with the first `limit` of its clients whose id comes after `after`, in order. */
  clientPage: queryOp(
    152,
    struct({ groups: optional(list(text)), after: text, limit: count }),
    rows,
    concat<ClientRow>(),
  ),
  detail: ownerQueryOp(153, struct({ clientId: text }), json<ClientDetail>()),
  /** The first `limit` groups, or uids, after `after` with their numbers of clients. */
  groupCounts: queryOp(155, struct({ after: text, limit: count }), json<Record<string, number>>(), mergeRecords(sum)),
  uidCounts: queryOp(156, struct({ after: text, limit: count }), json<Record<string, number>>(), mergeRecords(sum)),
  /** Without a cursor a tap of the session begins; with one it is asked for what it has seen since. */
  tap: ownerQueryOp(157, struct({ clientId: text, cursor: optional(text), topic: optional(text) }), json<TapAnswer>()),
  /** All gates tap their sessions for frames of a topic or module, under an id of the caller; each answers with what it has seen since. */
  tapTopic: allOp(
    159,
    struct({ id: text, topic: text, isNew: flag }),
    json<readonly GateTapAnswer[]>(),
    concat<GateTapAnswer>(),
  ),
  /** A gate of this id begins to drain: it closes `perSecond` clients. True when there is one. */
  drain: allOp(154, struct({ gate: text, perSecond: count }), flag, any),
  /** A gate of this id asks `clients` of its clients to move to other gates. How many it will ask; none when there is no such gate. */
  move: allOp(
    158,
    struct({ gate: text, clients: count, perSecond: count }),
    json<readonly number[]>(),
    concat<number>(),
  ),
} as const;

/** What gates ask the nodes that are connected to them. */
export const reportContract = { report: nodeOp(151, 'required', nothing, json<NodeReport>()) } as const;
