import type { Wire } from './wire.js';

/** A frame of a client about its session. */
export type ClientSessionFrame =
  | { readonly kind: 'open' | 'resume'; readonly body: unknown }
  | { readonly kind: 'ack'; readonly count: unknown }
  | { readonly kind: 'bye' };

/** The kinds of frames of a gate about a session whose body is an object. */
export type SessionNotice = 'hello' | 'resumed' | 'gap' | 'refused' | 'move';

/** A wire of resumable clients: the wire {@link plain} with frames about the session. */
export interface SessionWire extends Wire {
  /** The wire of clients that do not want their session kept. */
  readonly plain: Wire;
  /** Reads a frame about the session; `undefined` when it is a message, or malformed. */
  readSessionFrame(data: Buffer): ClientSessionFrame | undefined;
  /** Whether both sides count a frame to the client: all except `$gate/` frames. */
  isCounted(frame: Uint8Array): boolean;
  /** The id of the request that a frame for the client ends; 0 when it ends none. */
  endedBy(frame: Uint8Array): number;
  notice(kind: SessionNotice, body: object): Buffer;
  /** A frame with the number of frames that were accepted from the client (`ack`), or sent to it (`mark`). */
  count(kind: 'ack' | 'mark', count: number): Buffer;
}

/** Whether the clients of a wire have resumable sessions. */
export function isSessionWire(wire: Wire): wire is SessionWire {
  return 'readSessionFrame' in wire;
}
