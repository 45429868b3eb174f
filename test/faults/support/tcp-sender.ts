import type { INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LinkNode } from '@nestgate/link';
import { GatewayApi, GatewayApiModule } from '@nestgate/worker';
import type { FakeClient } from '@nestgate/testing';

const TOPIC = 'flow/n';
/** How often what is due is sent, in milliseconds. */
const TICK_MS = 2;

/** What became of numbered pushes between two moments. */
export interface FlowReport {
  readonly sent: number;
  /** Resolved, and not counted when they were sent. */
  readonly accepted: number;
  /** Rejected, or counted as refused when they were sent. */
  readonly told: number;
  readonly received: number;
  readonly duplicates: number;
  /** Counted later: refused after they had waited, or under way when the link broke. */
  readonly countedLater: number;
  /** Neither received nor told nor counted. */
  readonly silent: number;
}

/** A service in this process that pushes numbers by itself, at a steady rate, and knows the reported result of each. */
export class NumberFlow {
  /** Of each number, whether it was accepted. */
  private readonly accepted: boolean[] = [];
  private readonly later: number[] = [];
  private timer: NodeJS.Timeout | undefined;
  private missedBefore = 0;

  private constructor(
    private readonly app: INestApplicationContext,
    readonly api: GatewayApi,
    readonly node: LinkNode,
  ) {}

  static async open(link: string, secret: string): Promise<NumberFlow> {
    const imports = [GatewayApiModule.forRoot({ link, secret })];
    const app = await (await Test.createTestingModule({ imports }).compile()).init();
    return new NumberFlow(app, app.get(GatewayApi), app.get(LinkNode));
  }

  /** The number of the next push. */
  get next(): number {
    return this.accepted.length;
  }

  start(perSecond: number, push: (api: GatewayApi, topic: string, n: number) => Promise<void>): void {
    const startedAt = performance.now();
    const { node } = this;
    this.missedBefore = missed(node);
    this.timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1_000);
      for (let n = this.next; n < due; n++) {
        const before = missed(node);
        // What was counted meanwhile had been accepted before.
        this.later[n] = before - this.missedBefore;
        push(this.api, TOPIC, n).catch(() => (this.accepted[n] = false));
        this.missedBefore = missed(node);
        this.accepted[n] = this.missedBefore === before;
      }
    }, TICK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** What became of the numbers from `from` to before `to`, of which the clients got some. */
  report(clients: readonly FakeClient[], from: number, to: number): FlowReport {
    const numbers = clients.flatMap(client => client.pushes(TOPIC).map(push => push.body as number));
    const all = numbers.filter(n => n >= from && n < to);
    const got = new Set(all);
    const accepted = range(from, to).filter(n => this.accepted[n]);
    const lost = accepted.filter(n => !got.has(n)).length;
    const later = range(from, to).map(n => this.later[n] ?? 0);
    const countedLater = later.reduce((sum, n) => sum + n, missed(this.node) - this.missedBefore);
    return {
      sent: to - from,
      accepted: accepted.length,
      told: to - from - accepted.length,
      received: got.size,
      duplicates: all.length - got.size,
      countedLater,
      silent: Math.max(0, lost - countedLater),
    };
  }

  async close(): Promise<void> {
    this.stop();
    await this.app.close();
  }
}

function missed({ counters }: LinkNode): number {
  return counters.refused + counters.uncertain;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
