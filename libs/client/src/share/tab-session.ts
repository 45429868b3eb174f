/** Limits of what is kept for a tab that has not acknowledged it. A burst of the gate must fit. */
const MAX_FRAMES = 4_096;
const MAX_SIZE = 4 * 1024 * 1024;
/** The hub acknowledges frames of a tab after this number of them. */
const ACK_EVERY = 64;

/** Callbacks of a session to its tab. */
export interface TabLink {
  send(frame: object): void;
  close(code: number, reason: string): void;
}

/** A frame that is kept. A gap has the number of its last missing frame, or lies half-way between two frames. */
interface Kept {
  readonly at: number;
  readonly frame: object;
  /** Characters of a push. The tab has asked for everything else. */
  readonly size: number;
}

/**
 * The session of one tab with the hub: the gate's part of `gate.json.2`. The tab loses its socket while the shared connection is lost, and
 * resumes when it is back.
 */
export class TabSession {
  /** Frames of the tab that were accepted. */
  private heard = 0;
  /** The number of the last frame for the tab. */
  private top = 0;
  private readonly kept: Kept[] = [];
  private size = 0;
  private link: TabLink | undefined;
  private generation = 0;
  private lostAt = 0;
  private isOver = false;

  constructor(
    readonly id: string,
    private readonly now: () => number,
  ) {}

  /** Sends the hello to the tab on its first socket. */
  open(link: TabLink, heartbeatMs: number): void {
    this.link = link;
    const session = { ticket: this.ticket, keepMs: 120_000, ackEvery: ACK_EVERY, ackMs: 1_000 };
    link.send({ topic: '$gate/hello', body: { clientId: this.id, heartbeatMs, session } });
  }

  /** Continues on another socket. Returns false when the tab means another session, or too much is missing. */
  resume(link: TabLink, { session, ticket, seen }: Readonly<Record<string, unknown>>): boolean {
    if (this.isOver || session !== this.id || ticket !== this.ticket || typeof seen !== 'number') return false;
    this.link?.close(4005, 'moved');
    this.link = link;
    this.generation++;
    this.acknowledge(seen);
    const replay = this.kept.length;
    const awayMs = Math.max(Math.round(this.now() - this.lostAt), 0);
    const body = { clientId: this.id, ticket: this.ticket, from: seen + 1, heard: this.heard, awayMs, replay };
    link.send({ topic: '$gate/resumed', body });
    for (const { frame } of this.kept) link.send(frame);
    return true;
  }

  /** Sends a frame that the tab counts. Returns false when the session ends because the tab does not read. */
  deliver(frame: object, size = 0): boolean {
    return this.keep({ at: ++this.top, frame, size });
  }

  /** Pushes are missing. */
  gap(n: number | null, why: string): boolean {
    const from = this.top + 1;
    this.top += n ?? 0;
    const frame = { topic: '$gate/gap', body: { from, n, why } };
    return this.keep({ at: n === null ? this.top + 0.5 : this.top, frame, size: 0 });
  }

  /** Sends a frame of the gate, unless the tab is away. */
  control(topic: string, body?: unknown): void {
    this.link?.send({ topic: `$gate/${topic}`, body });
  }

  /** A frame of the tab was accepted. */
  hear(): void {
    if (++this.heard % ACK_EVERY === 0) this.control('ack', this.heard);
  }

  /** The tab has acknowledged these frames. */
  acknowledge(seen: number): void {
    while (this.kept[0] && this.kept[0].at <= seen) this.size -= this.kept.shift()?.size ?? 0;
  }

  /** The tab loses its socket. The session continues. */
  lose(code: number, reason: string): void {
    const { link } = this;
    this.link = undefined;
    this.lostAt = this.now();
    link?.close(code, reason);
  }

  private get ticket(): string {
    return `${this.id}-${this.generation}`;
  }

  private keep(kept: Kept): boolean {
    this.size += kept.size;
    if (this.kept.length >= MAX_FRAMES || this.size > MAX_SIZE) this.isOver = true;
    if (this.isOver) return false;
    this.kept.push(kept);
    this.link?.send(kept.frame);
    return true;
  }
}
