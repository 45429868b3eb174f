import { setTimeout as delay } from 'node:timers/promises';
import { ResumeClient } from '../../e2e/support/resume-client.js';
import type { NodeProcess } from './node-process.js';

/** What became of the messages of one sender to one client. */
export interface TravelReport {
  readonly received: number;
  readonly twice: number;
  readonly reordered: number;
  /** Numbers between those that came, and up to the last one that was sent, that did not come. */
  readonly missing: number;
}

/**
 * A client with a session that goes on by itself: on another gate when its gate asks for it, when its connection is lost, or when
 * {@link travel} says so.
 */
export class TravellingClient {
  /** Requests that were sent, by id. */
  readonly asked = new Map<number, number>();
  private moves = 0;
  private isOver = false;
  private wanted: number | undefined;
  private readonly loop: Promise<void>;

  private constructor(
    readonly client: ResumeClient,
    private gate: number,
    private readonly gates: readonly NodeProcess[],
    private readonly isOpen: (gate: number) => boolean,
  ) {
    this.loop = this.run();
  }

  static async open(
    gates: readonly NodeProcess[],
    gate: number,
    isOpen: (gate: number) => boolean,
  ): Promise<TravellingClient> {
    const client = await ResumeClient.open(urlOf(gates, gate));
    return new TravellingClient(client, gate, gates, isOpen);
  }

  /** Goes to this gate. */
  travel(gate: number): void {
    this.wanted = gate;
  }

  /** Whether it has a connection to a gate, and has been greeted there. */
  get isSettled(): boolean {
    const { client } = this;
    return this.wanted === undefined && client.greeting !== undefined && client.closedWith === undefined;
  }

  get at(): number {
    return this.gate;
  }

  ask(): void {
    const body = this.asked.size;
    this.asked.set(this.client.ask('echo/echo', body), body);
  }

  /** Requests that have no answer, or another one than they should have. */
  get unanswered(): number {
    const answers = new Map(this.client.frames.filter(({ id }) => id !== undefined).map(({ id, body }) => [id, body]));
    return [...this.asked].filter(([id, body]) => answers.get(id) !== body).length;
  }

  /** Whether the client was told that messages may be missing, or that its session is lost. */
  get wasTold(): boolean {
    return this.client.gaps.length > 0 || this.refusals.some(code => code !== 'RESUME_BUSY');
  }

  get refusals(): string[] {
    return this.client.ownOf('refused').map(body => (body as { code: string }).code);
  }

  report(sender: string, sent: number): TravelReport {
    const numbers = this.client.pushed(sender) as number[];
    const unique = new Set(numbers);
    return {
      received: unique.size,
      twice: numbers.length - unique.size,
      reordered: numbers.filter((number, at) => at > 0 && number < (numbers[at - 1] as number)).length,
      missing: sent - unique.size,
    };
  }

  async end(): Promise<void> {
    this.isOver = true;
    this.client.cut();
    await this.loop;
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      const { client } = this;
      const moves = client.ownOf('move').length;
      if (this.wanted !== undefined) this.gate = this.wanted;
      else if (moves > this.moves || client.closedWith) this.gate = this.next();
      else {
        await delay(5);
        continue;
      }
      this.wanted = undefined;
      this.moves = moves;
      client.url = urlOf(this.gates, this.gate);
      // A gate that is busy, or gone, has closed the connection: the next round tries again.
      await client.resume().catch(() => delay(50));
    }
  }

  private next(): number {
    const open = this.gates.map((_, gate) => gate).filter(this.isOpen);
    return open.find(gate => gate > this.gate) ?? (open[0] as number);
  }
}

function urlOf(gates: readonly NodeProcess[], gate: number): string {
  return `ws://127.0.0.1:${(gates[gate] as NodeProcess).port}/gate`;
}

/** Pushes numbers to a group from one node, one after another. */
export class NumberedSender {
  sent = 0;
  readonly refused: string[] = [];
  private isOver = false;
  private readonly loop: Promise<void>;

  constructor(
    private readonly node: NodeProcess,
    private readonly group: string,
    readonly topic: string,
  ) {
    this.loop = this.run();
  }

  async stop(): Promise<number> {
    this.isOver = true;
    await this.loop;
    return this.sent;
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      const code = await this.node.push(this.group, this.topic, this.sent);
      if (code === undefined) this.sent++;
      else this.refused.push(code);
      await delay(3);
    }
  }
}
