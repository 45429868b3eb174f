/** What went wrong on the link, counted since the start. */
export interface LinkCounters {
  /** What a peer sent and that never came: batches of messages to this node, and messages to channels that it has joined. */
  gaps: number;
  /** Batches that were malformed, or came from nobody known. */
  corrupt: number;
  /** Messages that were not taken, because the link or their peer was out of reach or full. */
  refused: number;
  /**
   * Messages that were accepted and have not arrived, or may not have: the peer says that it has not received them, or it was
   * lost before it could say so. A message to a channel counts once for each gate.
   */
  uncertain: number;
  /** Answers that came after their request had ended. */
  late: number;
  /** Errors that were sent with a shorter code or message, or other details, because theirs were too large or no JSON. */
  truncated: number;
}
