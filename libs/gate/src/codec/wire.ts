import type { Body, DecodedFrame, ErrorBody, FrameFault } from '@nestgate/protocol';

/** How frames look to one kind of client: its codec, framed for its connection. Clients of one kind share a wire. */
export interface Wire {
  /** The codec's name: `gate.json`, `gate.pack`, `gate.frame`, or a custom one. */
  readonly codec: string;
  /** The frame that the last successful `decode` has read. Reused: copy what must outlive the next call. */
  readonly frame: DecodedFrame;
  /** True when the frames that it makes share no memory with the bodies that it is given. */
  readonly copiesBodies?: boolean;
  /** Whether a return value without a request id still goes back to the client. */
  readonly pushesResults: boolean;
  /** Reads a frame. Returns why it is refused, or `undefined`. */
  decode(data: Buffer): FrameFault | undefined;
  /** The first frame of a connection, or `undefined` when this wire has none. */
  hello(clientId: string, heartbeatMs: number): Buffer | undefined;
  /** A message, or `undefined` when this wire has no frame so large. */
  push(topic: string, body: Body): Buffer | undefined;
  reply(id: number, body: Body): Buffer | undefined;
  /** An error that answers the request `id`, or, with 0, one that belongs to no request. */
  error(id: number, error: ErrorBody, topic: string | undefined): Buffer | undefined;
  /** The answer to a ping; with an id as a reply. */
  pong(id: number): Buffer | undefined;
  /** An item of the stream that answers the request `id`. Without this method the wire has no streams. */
  item?(id: number, body: Body): Buffer | undefined;
  /** The end of that stream. */
  end?(id: number): Buffer | undefined;
  /** A call to the client, which answers it by its number. Without this method the wire has no calls. */
  ask?(topic: string, body: Body, ask: number): Buffer | undefined;
}
