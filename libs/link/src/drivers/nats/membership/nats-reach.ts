import type { NatsMember } from './nats-member.js';

/** Interval after which a silent server is asked again, through any node connected to it, in milliseconds. */
const AGAIN_MS = 200;
/** Longest wait for the other servers, in milliseconds. */
const REACH_MS = 2_000;

const QUESTION = 0;
const ANSWER = 1;
const BODY_BYTES = 5;

/** What {@link NatsReach} needs from the membership. */
export interface NatsReachHost {
  /** One peer on each other server, by the id of the server. */
  others(): ReadonlyMap<string, NatsMember>;
  sendReach(member: NatsMember, body: Buffer): void;
  /** Reports an exception of a timer callback. Never throws. */
  onDefect(error: unknown): void;
}

/** One query to all other servers. */
interface Asked {
  /** Servers that have answered. */
  readonly reached: Set<string>;
  readonly until: number;
  timer: NodeJS.Timeout | undefined;
  readonly end: () => void;
}

/**
 * Determines when the other servers of a NATS cluster know the subscriptions of this node. A server propagates a
 * subscription before it forwards messages that the node published later. When a node on another server answers a query,
 * that server therefore knows every subscription made before the query. One query serves all subscriptions of a turn.
 *
 *     message = u8 query or answer · u32 number
 */
export class NatsReach {
  private readonly asked = new Map<number, Asked>();
  private lastNumber = 0;
  private next: Promise<void> | undefined;

  constructor(private readonly host: NatsReachHost) {}

  /** Settles when all servers that have nodes know the current subscriptions of this node, at the latest after 2 s. */
  whenReached(): Promise<void> {
    return (this.next ??= Promise.resolve().then(() => {
      this.next = undefined;
      return this.ask();
    }));
  }

  /** Handles a query or an answer from a node. */
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
        // Ends the query, so that a join never waits for longer than the bound.
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

  /** Ignores servers whose last node has left since the query started. */
  private isComplete({ reached }: Asked): boolean {
    for (const server of this.host.others().keys()) if (!reached.has(server)) return false;
    return true;
  }
}
