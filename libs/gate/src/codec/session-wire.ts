import type { Wire } from './wire.js';

/** What a client sends about its session. */
export type ClientSessionFrame =
  | { readonly kind: 'open' | 'resume'; readonly body: unknown }
  | { readonly kind: 'ack'; readonly count: unknown }
  | { readonly kind: 'bye' };

/** The kinds of frames that a gate sends about a session, and whose body is an object. */
export type SessionNotice = 'hello' | 'resumed' | 'gap' | 'refused' | 'move';

/** A wire of clients whose session can be resumed: the messages are those of its plain wire. */
export interface SessionWire extends Wire {
  /** For clients that do not want their session kept. */
  readonly plain: Wire;
  /** What a frame of a client says about its session; `undefined` when it is a message, or malformed. */
  readSessionFrame(data: Buffer): ClientSessionFrame | undefined;
  /** Whether a frame for the client has a number: all but those of the gate itself. */
  isCounted(frame: Uint8Array): boolean;
  notice(kind: SessionNotice, body: object): Buffer;
  /** So many frames of the client have been accepted (`ack`), or have been sent to it (`mark`). */
  count(kind: 'ack' | 'mark', count: number): Buffer;
}

/** Whether the clients of a wire have sessions that can be resumed. */
export function isSessionWire(wire: Wire): wire is SessionWire {
  return 'readSessionFrame' in wire;
}
