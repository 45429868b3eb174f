import type { Body, DecodedFrame, ErrorBody, FrameFault } from '@nestgate/protocol';

/** Encodes and decodes the frames of one codec, with the framing of one kind of connection. All such clients share a wire. */
export interface Wire {
  /** The codec's name: `gate.json`, `gate.pack`, `gate.frame`, or a custom one. */
  readonly codec: string;
  /** The result of the last successful `decode`. Reused: copy all values that are needed after the next call. */
  readonly frame: DecodedFrame;
  /** True when encoded frames share no memory with their bodies. */
  readonly copiesBodies?: boolean;
  /** Whether the return value for a frame without an id is sent to the client too. */
  readonly pushesResults: boolean;
  /** Decodes a frame. Returns why it is refused, or `undefined`. */
  decode(data: Buffer): FrameFault | undefined;
  /** The first frame of a connection, or `undefined` when this wire has none. */
  hello(clientId: string, heartbeatMs: number): Buffer | undefined;
  /** A message, or `undefined` when it is too large for a frame of this wire. */
  push(topic: string, body: Body): Buffer | undefined;
  reply(id: number, body: Body): Buffer | undefined;
  /** An error that answers the request `id`, or, with 0, one that belongs to no request. */
  error(id: number, error: ErrorBody, topic: string | undefined): Buffer | undefined;
  /** The answer to a ping; with an id, a reply. */
  pong(id: number): Buffer | undefined;
  /** An item of the stream that answers the request `id`. Without this method the wire has no streams. */
  item?(id: number, body: Body): Buffer | undefined;
  /** The end of that stream. */
  end?(id: number): Buffer | undefined;
  /** A call to the client. `ask` is its number, which the answer repeats. Without this method the wire has no calls. */
  ask?(topic: string, body: Body, ask: number): Buffer | undefined;
}
