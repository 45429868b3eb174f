import type { WireData } from './codec.js';

/** A frame of the application that is not yet acknowledged. */
export interface Outgoing {
  readonly data: WireData;
  readonly topic: string;
  /** 0 for a frame that expects no reply. */
  readonly id: number;
  /** On the clock of the environment. The frame is not written later than this. */
  readonly expiresAt: number;
}

/** Limits of what a client keeps while it cannot send. */
export interface BufferLimits {
  readonly frames: number;
  readonly bytes: number;
}

/** Limits of the frames that are written and not acknowledged. More frames wait: the log of a session is never truncated. */
const UNACKED: BufferLimits = { frames: 1_000, bytes: 1024 * 1024 };

/**
 * Two lists of frames, in order: those that wait for a connection, and, with a resumable session, those that are written and not
 * acknowledged. A frame is in at most one of them.
 */
export interface Outbox {
  /** Frames that wait to be written, the next one first. */
  readonly waiting: Outgoing[];
  /** Frames that are written and not acknowledged. A resume writes them again. */
  readonly unacked: Outgoing[];
  /** The number of frames of this session that were written. */
  readonly sent: number;
  /** While true, waiting frames stay where they are, and new frames overtake them: a new session is being set up. */
  isHeld: boolean;
  /** Writes a frame, or queues it behind those that wait. Returns false when there is no room for it. */
  submit(frame: Outgoing, now: number): boolean;
  /** Writes the frames that wait, as far as possible. Returns how many were dropped because they had expired. */
  flush(now: number): number;
  /** Keeps a frame until it is acknowledged. Returns false when too many are kept; the frame must wait then. */
  log(frame: Outgoing): boolean;
  /** Removes a frame that waits. */
  readonly withdraw: (id: number) => void;
  /** The gate has accepted this number of frames of the session. Returns false when the number is impossible. */
  acknowledge(count: number): boolean;
  /** Removes a frame that the gate refused without counting it. */
  uncount(id: number, topic: unknown): void;
  /** Starts another session, in which this number of frames were written. */
  reset(sent?: number): void;
}

/** Creates an outbox. `write` writes a frame on the connection, or returns false when the frame must wait. */
export function createOutbox(limits: BufferLimits, write: (frame: Outgoing) => boolean): Outbox {
  const waiting: Outgoing[] = [];
  const unacked: Outgoing[] = [];
  /** The number of frames of this session that the gate has acknowledged. */
  let acked = 0;
  const remove = (frames: Outgoing[], matches: (frame: Outgoing) => boolean): void => {
    const at = frames.findIndex(matches);
    if (at >= 0) frames.splice(at, 1);
  };
  const outbox: Outbox = {
    waiting,
    unacked,
    get sent() {
      return acked + unacked.length;
    },
    isHeld: false,
    submit(frame, now) {
      if ((outbox.isHeld || waiting.length === 0) && write(frame)) return true;
      if (!hasRoom(waiting, limits, frame))
        waiting.splice(0, Infinity, ...waiting.filter(({ expiresAt }) => expiresAt > now));
      return hasRoom(waiting, limits, frame) && waiting.push(frame) > 0;
    },
    flush(now) {
      let expired = 0;
      for (let frame = waiting[0]; frame && !outbox.isHeld; frame = waiting[0]) {
        if (frame.expiresAt <= now) expired++;
        else if (!write(frame)) break;
        waiting.shift();
      }
      return expired;
    },
    // One frame always fits, however large it is.
    log: frame => (unacked.length === 0 || hasRoom(unacked, UNACKED, frame)) && unacked.push(frame) > 0,
    withdraw: id => remove(waiting, frame => frame.id === id),
    acknowledge(count) {
      if (count < acked || count > acked + unacked.length) return false;
      unacked.splice(0, count - acked);
      acked = count;
      return true;
    },
    uncount: (id, topic) => remove(unacked, frame => frame.id === id && (id > 0 || frame.topic === topic)),
    reset(sent = 0) {
      unacked.length = 0;
      acked = sent;
    },
  };
  return outbox;
}

function hasRoom(frames: readonly Outgoing[], limits: BufferLimits, { data }: Outgoing): boolean {
  const bytes = frames.reduce((sum, frame) => sum + frame.data.length, data.length);
  return frames.length < limits.frames && bytes <= limits.bytes;
}
