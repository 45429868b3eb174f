import type { ByteReader, ByteWriter } from '../wire/bytes.js';
import { body, type Codec, count, flag, json, list, nothing, optional, struct, text } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';
import type { SessionSnapshot } from './session-snapshot.js';

/** That a session is, from now on, on the gate that says so. */
export interface SessionTurn {
  readonly clientId: string;
  /** The serial of the client on its new gate. */
  readonly serial: number;
  /** Grows with each move and resume: of two gates that claim a session the one with the higher generation has it. */
  readonly generation: number;
  /** The id of the gate that had it before; `''` when no gate waits for the answer. */
  readonly from: string;
}

/** What a gate asks of the one that has a session, so that it can go on with it. */
export interface ResumeAsk {
  readonly clientId: string;
  /** The ticket that the client has shown. */
  readonly ticket: string;
  /** How many frames the client has received. */
  readonly seen: number;
  /** How the client's frames look: codec and network. The frames of the ring are in this form. */
  readonly wire: string;
  /** The user that the handshake of the new connection names. */
  readonly userId?: string | undefined;
  /** Without a client: the gate that has the session hands it over. */
  readonly isHandOver: boolean;
}

/** A stream of a session that moves. */
export interface MovingStream {
  /** The id that the client has given it. */
  readonly id: number;
  readonly topic: string;
  /** The number by which the gate that has begun it names it. */
  readonly number: number;
  /** The worker that produces it, and its boot. */
  readonly worker: string;
  readonly epoch: string;
}

/** Everything that a gate has to know of a session that comes to it. */
export interface SessionTransfer {
  readonly snapshot: SessionSnapshot;
  readonly groups: readonly string[];
  /** The user that the handshake of the first connection has named. */
  readonly openedAs?: string | undefined;
  /** What tickets of the session are made with, as base64. */
  readonly key: string;
  /** The generations of the tickets: the newest one, the newest one that the client is known to have, and that of the ticket shown. */
  readonly generation: number;
  readonly confirmed: number;
  readonly shown: number;
  /** How many frames the client has received, and the number of the first one that follows. */
  readonly seen: number;
  readonly floor: number;
  /** Why the client has yet to be told that frames may be missing. */
  readonly doubt?: string | undefined;
  /** How many frames of the client have been accepted. */
  readonly heard: number;
  readonly awayMs: number;
  readonly lostCode: number;
  readonly ageMs: number;
  /** Whether a worker has handled `@OnConnect`. */
  readonly arrival: 'told' | 'untold';
  /** In how many milliseconds the credentials expire. */
  readonly expiresInMs?: number | undefined;
  readonly issuedAt?: number | undefined;
  /** When the login was, by the clock of the cluster. */
  readonly clock?: number | undefined;
  /** The keys of the settings that come from the storage of the user. */
  readonly borrowed: readonly string[];
  /** Whether requests of the client are running that are no streams. */
  readonly isRunning: boolean;
  /** The ids of those that have one. */
  readonly running?: readonly number[] | undefined;
  readonly streams: readonly MovingStream[];
  /** The workers that the client has used; the last one first. */
  readonly workers: readonly string[];
}

/**
 * What the gate that was asked answers: the session, where it is, or why it is not resumed. `code` is one of the refusals of
 * `$gate/refused`, or `IMPOSSIBLE`, when the client cannot have received so much.
 */
export interface ResumeAnswer {
  readonly session?: SessionTransfer;
  readonly movedTo?: string;
  readonly code?: string;
  readonly closeCode?: number | undefined;
}

/** A frame of the tail, or frames that are lost. */
export type TailItem = Uint8Array | TailGap;

/** Frames of the tail that are lost. */
export interface TailGap {
  readonly n: number;
  readonly why: string;
}

const tailItem: Codec<TailItem> = {
  write(writer: ByteWriter, item) {
    if (item instanceof Uint8Array) {
      writer.u8(0);
      writer.bytes(item);
    } else {
      writer.u8(1);
      writer.f64(item.n);
      writer.str(item.why);
    }
  },
  read(reader: ByteReader) {
    // A copy: a frame that is kept must not keep the batch that it has come with.
    return reader.u8() === 0 ? Buffer.from(reader.bytes()) : { n: reader.f64(), why: reader.str() };
  },
};

/** How a hand-over ends, as one of its two gates tells the other. */
export type MoveEnd =
  /**
   * The old gate has forwarded all that was its to deliver. `doubts`: nodes that have not answered. `groups`: those of the client by then.
   * `streams`: the ids of those that have not ended there.
   */
  | {
      readonly kind: 'pushes';
      readonly doubts: readonly string[];
      readonly groups: readonly string[];
      readonly streams: readonly number[];
    }
  /** All requests that ran on the old gate have ended. */
  | { readonly kind: 'requests' }
  /** The session has ended on the old gate. */
  | { readonly kind: 'closed'; readonly code: number; readonly reason: string }
  /** The new gate does not take the session. */
  | { readonly kind: 'declined' }
  /** The session went on elsewhere: the copy is dropped. */
  | { readonly kind: 'stale' };

/** What every node does for a gate that a session has come to. Ids are never reused. */
export const turnContract = {
  /** From now on these sessions are on the gate that sends this. Answered, and told to their last gate, behind all that was sent before. */
  turn: nodeOp(
    140,
    'required',
    struct({ sessions: list(struct({ clientId: text, serial: count, generation: count, from: text })) }),
    nothing,
  ),
} as const;

/** What gates do for each other when a session moves. Ids are never reused. */
export const moveContract = {
  /** A client shows the ticket of a session of the gate that is asked, which hands it over. */
  resume: nodeOp(
    141,
    'required',
    struct({
      clientId: text,
      ticket: text,
      seen: count,
      wire: text,
      userId: optional(text),
      isHandOver: flag,
    }),
    json<ResumeAnswer>(),
  ),
  /** The sender of this sends what is for these clients to the gate `to`, from now on. */
  turned: nodeOp(142, 'never', struct({ to: text, clientIds: list(text) }), nothing),
  /** Frames that are the old gate's to deliver. `isLate`: they come behind those that are the new gate's. */
  tail: nodeOp(143, 'never', struct({ clientId: text, isLate: flag, items: list(tailItem) }), nothing),
  /** Asks the gate that a session has moved to whether the client acknowledges the frame with this number within `waitMs`. */
  received: nodeOp(146, 'required', struct({ clientId: text, number: count, waitMs: count }), flag),
  /** A frame of the client that the old gate has accepted, and whose stream the new one is to begin. */
  begin: nodeOp(147, 'never', struct({ clientId: text, id: count, topic: text, body }), nothing),
  final: nodeOp(144, 'never', struct({ clientId: text, end: json<MoveEnd>() }), nothing),
  /** A gate that stops offers sessions without a connection, with their tickets. */
  offer: nodeOp(
    145,
    'never',
    list(struct({ clientId: text, ticket: text, seen: count, wire: text, userId: optional(text) })),
    nothing,
  ),
} as const;
