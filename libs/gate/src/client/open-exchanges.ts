import type { AnswerError, Body } from '@nestgate/protocol';

/** The streams of one client, as its agent sees them. */
export interface OpenStreams {
  has(id: number): boolean;
  /** Ends a stream that the client has cancelled. False for an id that no stream has. */
  cancel(id: number): boolean;
  /** The socket may have taken frames that were queued before. */
  noteWritten(): void;
  /** So many of the oldest or newest queued frames have been dropped. */
  noteDropped(count: number): void;
  /** The client is gone. */
  end(): void;
}

/** The calls that one client has not answered, as its agent sees them. */
export interface OpenAsks {
  /** Takes an answer. False for a number that no unanswered call has. */
  answer(ask: number, body: Body, error: AnswerError | undefined): boolean;
  /** The client is gone. */
  end(): void;
}
