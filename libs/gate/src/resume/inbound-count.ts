/**
 * Counts the frames of one client that the gate has accepted, and when it must acknowledge them. The gate's own frames (`$gate/…`), those
 * over the rate and those that are held are not among them.
 */
export class InboundCount {
  /** The frames that the agent has taken up and that do not count. */
  private uncounted = 0;
  private acked = 0;

  /** The session comes from another gate, which has accepted so many, and told the client. */
  startAt(accepted: number): void {
    this.uncounted = -accepted;
    this.acked = accepted;
  }

  /** Accepted frames. `taken`: all that the agent has taken up. */
  accepted(taken: number): number {
    return taken - this.uncounted;
  }

  /** The frame that the agent has just taken up does not count. */
  skip(): void {
    this.uncounted++;
  }

  /** Accepted frames that the client has not been told about. */
  unacked(taken: number): number {
    return this.accepted(taken) - this.acked;
  }

  /** The client is being told; returns the number. */
  ack(taken: number): number {
    return (this.acked = this.accepted(taken));
  }
}
