/** What went wrong on the link, counted since the start. */
export interface LinkCounters {
  /** Batches that a peer sent and that never came. */
  gaps: number;
  /** Batches that were malformed, or came from nobody known. */
  corrupt: number;
  /** Messages that were not taken, because the link or their peer was out of reach or full. */
  refused: number;
  /**
   * Messages that were under way when the link broke or their peer was lost, and may not have arrived; over NATS the
   * batches that they were in.
   */
  uncertain: number;
  /** Answers that came after their request had ended. */
  late: number;
  /** Errors that were sent with a shorter code or message, or other details, because theirs were too large or no JSON. */
  truncated: number;
}
