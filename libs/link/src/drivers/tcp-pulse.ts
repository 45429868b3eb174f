import { writeCount } from './tcp-message.js';

/** How often it is looked whether the other side lives; a sign of life leaves every second; three missing are death. */
const BEAT_MS = 250;
const PING_MS = 1_000;
const DEAD_MS = 3_500;

/** What a pulse needs of its connection. */
export interface PulseHost {
  ping(content: Buffer): void;
  /** The other side has been silent for too long. */
  die(): void;
}

/**
 * Signs of life between two nodes. They carry how many frames have come, so that each side knows how many of its own may
 * be lost when the connection breaks. Time is measured by a clock that nobody sets.
 */
export class TcpPulse {
  private timer: NodeJS.Timeout | undefined;
  private beatAt = 0;
  private heardAt = 0;
  private pingedAt = 0;
  private sent = 0;
  private arrived = 0;
  /** Messages in each frame that may not have arrived, and in all of them. */
  private readonly sizes: number[] = [];
  private underWay = 0;
  private received = 0;
  private confirmed = 0;

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

  /** A frame with so many messages leaves. */
  noteSent(messages = 1): void {
    this.sent++;
    this.sizes.push(messages);
    this.underWay += messages;
  }

  noteReceived(): void {
    this.received++;
  }

  /** The other side says how many frames it has. */
  noteCount(content: Buffer): void {
    if (content.length < 4) return;
    const left = (this.sent - content.readUInt32LE(0)) >>> 0;
    // It cannot have fewer than before, or more than were sent.
    const count = this.sent - this.arrived - left;
    if (count <= 0) return;
    this.arrived += count;
    for (const messages of this.sizes.splice(0, count)) this.underWay -= messages;
  }

  /** How many frames the other side is to know of. */
  count(): Buffer {
    this.confirmed = this.received;
    return writeCount(this.received);
  }

  /** How many of the messages sent may not have arrived. */
  get uncertain(): number {
    return this.underWay;
  }

  private beat(): void {
    const now = performance.now();
    // After a pause of this node's own, what has come during it is read before anybody is taken for dead.
    const wasAway = now - this.beatAt > BEAT_MS + PING_MS;
    this.beatAt = now;
    if (!wasAway && now - this.heardAt > DEAD_MS) {
      this.host.die();
    } else if (this.received !== this.confirmed || now - this.pingedAt >= PING_MS) {
      this.pingedAt = now;
      this.host.ping(this.count());
    }
  }
}
