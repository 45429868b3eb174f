/** The bodies of the frames of resumable sessions: `$gate/…` in JSON, kinds 7 to 15 of `gate.frame.2`. */

/** What `v` says in `open` and `resume`. */
export const RESUME_VERSION = 2;

/** What a hello says about the session. Absent where the session is not kept. */
export interface HelloSession {
  /** Proves that a connection belongs to the session. A secret. */
  readonly ticket: string;
  /** How long the gate keeps the session without a connection, in milliseconds. */
  readonly keepMs: number;
  /** How many frames the gate keeps for the session. */
  readonly frames: number;
  /** How many bytes of frames the gate keeps for the session. */
  readonly bytes: number;
  /** Both sides acknowledge after so many frames, */
  readonly ackEvery: number;
  /** and so many milliseconds after the first one that is not acknowledged. */
  readonly ackMs: number;
}

/** The session goes on with this connection. */
export interface ResumedNotice {
  readonly clientId: string;
  /** The next ticket. */
  readonly ticket: string;
  /** The number of the first frame that follows. */
  readonly from: number;
  /** How many frames of the client the gate has accepted. */
  readonly heard: number;
  /** How long the session had no connection. */
  readonly awayMs: number;
}

/**
 * Why frames are missing: `overrun`: there were more than the gate keeps for a session; `budget`: more than it keeps for all;
 * `gate-lost`: the gate that kept them is gone; `link`: those of a node are in doubt; `expired`: the session had been away too long.
 */
export type GapReason = 'overrun' | 'budget' | 'gate-lost' | 'link' | 'expired';

/** Frames that the client does not get. */
export interface GapNotice {
  /** The number of the first one. */
  readonly from: number;
  /** How many; `null` when that is not known. */
  readonly n: number | null;
  readonly why: GapReason;
}

const REFUSALS = Object.freeze({
  RESUME_UNKNOWN: 'The gate does not know this session',
  RESUME_EXPIRED: 'The session was without a connection for too long',
  RESUME_DENIED: 'The ticket is wrong, or the user is another one',
  RESUME_CLOSED: 'The session was closed',
  RESUME_LOST: 'The gate that kept the session is gone: messages may be missing',
  RESUME_BUSY: 'The gate that keeps the session does not answer: try again',
} as const);

/** Why a session is not resumed. */
export type ResumeRefusalCode = keyof typeof REFUSALS;

/** Why a session is not resumed, as the client is told. */
export interface ResumeRefusal {
  readonly code: ResumeRefusalCode;
  readonly message: string;
  /** With `RESUME_CLOSED`: the close code that the session ended with. */
  readonly closeCode?: number;
}

/** A refusal with its message. */
export function resumeRefusal(code: ResumeRefusalCode, closeCode?: number): ResumeRefusal {
  const message = REFUSALS[code];
  return closeCode === undefined ? { code, message } : { code, message, closeCode };
}
