import type { NatsMember } from './nats-member.js';

/** When a server that has not been heard of is asked again, through whichever node is there then, in milliseconds. */
const AGAIN_MS = 200;
/** How long other servers are waited for at most, in milliseconds. */
const REACH_MS = 2_000;

const QUESTION = 0;
const ANSWER = 1;
const BODY_BYTES = 5;

/** What reach needs of its room. */
export interface NatsReachHost {
  /** A node that this one has met on each other server, by the server's id. */
  others(): ReadonlyMap<string, NatsMember>;
  sendReach(member: NatsMember, body: Buffer): void;
  /** A timer's callback has thrown. Never throws. */
  onDefect(error: unknown): void;
}

/** One question to all other servers. */
interface Asked {
  /** The servers that have answered. */
  readonly reached: Set<string>;
  readonly until: number;
  timer: NodeJS.Timeout | undefined;
  readonly end: () => void;
}

/**
 * Finds out when the other servers of a cluster know what this node has subscribed to. A server tells the others of a
 * subscription before it hands on what the node has published after it. So when a node on another server answers, that server
 * knows all that was subscribed to before the question. One question serves all subscriptions of a turn.
 *
 *     message = u8 question or answer · u32 number
 */
export class NatsReach {
  private readonly asked = new Map<number, Asked>();
  private lastNumber = 0;
  private next: Promise<void> | undefined;

  constructor(private readonly host: NatsReachHost) {}

  /** Settles when all servers with nodes on them know what this node has subscribed to so far, after 2 s in any case. */
  whenReached(): Promise<void> {
    return (this.next ??= Promise.resolve().then(() => {
      this.next = undefined;
      return this.ask();
    }));
  }

  /** A node has asked, or answered. */
  receive(member: NatsMember, body: Buffer): void {
    if (body.length < BODY_BYTES) return;
    if (body[0] === QUESTION) {
      const answer = Buffer.from(body.subarray(0, BODY_BYTES));
      answer[0] = ANSWER;
      this.host.sendReach(member, answer);
    } else {
      this.noteAnswer(member, body.readUInt32LE(1));
    }
  }

  stop(): void {
    for (const { end } of this.asked.values()) end();
  }

  private ask(): Promise<void> | undefined {
    if (this.host.others().size === 0) return undefined;
    const number = (this.lastNumber = (this.lastNumber + 1) >>> 0);
    return new Promise<void>(resolve => {
      const asked: Asked = {
        reached: new Set(),
        until: performance.now() + REACH_MS,
        timer: undefined,
        end: () => {
          clearTimeout(asked.timer);
          this.asked.delete(number);
          resolve();
        },
      };
      this.asked.set(number, asked);
      this.send(number, asked);
    });
  }

  private send(number: number, asked: Asked): void {
    const body = Buffer.alloc(BODY_BYTES);
    body[0] = QUESTION;
    body.writeUInt32LE(number, 1);
    for (const [server, member] of this.host.others()) {
      if (!asked.reached.has(server)) this.host.sendReach(member, body);
    }
    asked.timer = setTimeout(() => {
      try {
        if (performance.now() > asked.until || this.isComplete(asked)) asked.end();
        else this.send(number, asked);
      } catch (error) {
        this.host.onDefect(error);
        // The wait of a join is bounded.
        asked.end();
      }
    }, AGAIN_MS).unref();
  }

  private noteAnswer(member: NatsMember, number: number): void {
    const asked = this.asked.get(number);
    if (!asked) return;
    asked.reached.add(member.server);
    if (this.isComplete(asked)) asked.end();
  }

  /** A server whose last node has gone meanwhile is not waited for. */
  private isComplete({ reached }: Asked): boolean {
    for (const server of this.host.others().keys()) if (!reached.has(server)) return false;
    return true;
  }
}
