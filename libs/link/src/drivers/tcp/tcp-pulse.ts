/** How often it is looked whether the other side lives; a sign of life leaves every second; three missing are death. */
const BEAT_MS = 250;
const PING_MS = 1_000;
const DEAD_MS = 3_500;

/** What a pulse needs of its connection. */
export interface PulseHost {
  ping(): void;
  /** The other side has been silent for too long. */
  die(): void;
}

/** Signs of life between two nodes. Time is measured by a clock that nobody sets. */
export class TcpPulse {
  private timer: NodeJS.Timeout | undefined;
  private beatAt = 0;
  private heardAt = 0;
  private pingedAt = 0;

  constructor(private readonly host: PulseHost) {}

  start(): void {
    this.beatAt = performance.now();
    this.timer = setInterval(() => this.beat(), BEAT_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Something has come, whatever it is. */
  noteHeard(): void {
    this.heardAt = performance.now();
  }

  private beat(): void {
    const now = performance.now();
    // After a pause of this process, first read the input that arrived meanwhile: the peer may be alive.
    const wasAway = now - this.beatAt > BEAT_MS + PING_MS;
    this.beatAt = now;
    if (!wasAway && now - this.heardAt > DEAD_MS) {
      this.host.die();
    } else if (now - this.pingedAt >= PING_MS) {
      this.pingedAt = now;
      this.host.ping();
    }
  }
}
