/** The client of a queue. */
export interface SendQueueOwner {
  /** The queue is over its bound, and the client must be closed. Its queued messages were dropped. */
  onOverflow(): void;
  /** The client has read nothing for too long, and must be destroyed. Its queued messages were dropped. */
  onStalled(): void;
  /** The messages that waited for a hook were queued. */
  onCaughtUp(): void;
  /** `count` frames were dropped, by the policy for slow clients or because of a bound. */
  onDropped?(count: number): void;
  /** The queued messages cannot be written. */
  onDefect(error: unknown, where: string): void;
}

/** The outgoing messages of one client, as `ClientAgent` uses them. */
export interface ClientQueue {
  /** Messages queued so far. */
  readonly sentCount: number;
  /** The number of the message that was queued last. */
  readonly position: number;
  /** True when no message waits for the socket, and no hook still creates one. */
  readonly isEmpty: boolean;
  readonly pendingPacks: number;
  readonly pendingBytes: number;
  /** Queues a framed message; false when it was not accepted. `undefined`: the wire cannot represent it. */
  send(frame: Uint8Array | undefined): boolean;
  /** Writes the first message, before anything was queued. */
  sendFirst(frame: Uint8Array): void;
  /** Queues a frame of the protocol, such as a pong. It does not wait for messages that hooks still create. */
  sendNow(frame: Uint8Array): boolean;
  /** Queues a message of `bytes` that a hook still creates. Later messages wait for it. */
  defer(making: Promise<Uint8Array | undefined>, bytes: number): boolean;
  /** Whether a hook may start to create another message of `bytes`. */
  mayDefer(bytes: number): boolean;
  /** Writes the queued messages. */
  drain(): void;
  /** Drops the queued messages. `why` is the label of the counter. */
  drop(why: string): void;
}
