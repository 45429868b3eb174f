/** Whose queue it is. */
export interface SendQueueOwner {
  /** More waits than may, and the client has to go. What waited for it has been dropped. */
  onOverflow(): void;
  /** The client has taken nothing for too long, and has to go at once. What waited for it has been dropped. */
  onStalled(): void;
  /** What had been waiting for a message that was still being made has been queued. */
  onCaughtUp(): void;
  /** So many frames have been dropped, by the policy for slow clients or for want of room. */
  onDropped?(count: number): void;
  /** What waits cannot be written. */
  onDefect(error: unknown, where: string): void;
}

/** Everything that waits to be sent to one client, as its agent uses it. */
export interface ClientQueue {
  /** Messages queued so far. */
  readonly sentCount: number;
  /** Where the message queued last stands among all. */
  readonly position: number;
  /** True when nothing waits to be given to the socket, and nothing is being made. */
  readonly isEmpty: boolean;
  readonly pendingPacks: number;
  readonly pendingBytes: number;
  /** Queues a framed message; false when it was not taken. `undefined` is one that its wire cannot carry. */
  send(frame: Uint8Array | undefined): boolean;
  /** Writes the first message of all, before anything has been queued. */
  sendFirst(frame: Uint8Array): void;
  /** Queues a frame of the connection itself; it does not wait for messages that are still being made. */
  sendNow(frame: Uint8Array): boolean;
  /** Queues a message that is still being made of so many bytes; those after it wait for it. */
  defer(making: Promise<Uint8Array | undefined>, bytes: number): boolean;
  /** Whether another message may be made of so many bytes. */
  mayDefer(bytes: number): boolean;
  /** Writes what waits. */
  drain(): void;
  /** Drops what waits. */
  drop(why: string): void;
}
