import { setTimeout as delay } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import type { INestApplicationContext } from '@nestjs/common';
import { type LinkCounters, LinkNode } from '@nestgate/link';
import { GatewayApi, GatewayApiModule } from '@nestgate/worker';
import { ACCEPTED } from './ledger.js';
import type { PushBalance, PushKind } from './push-balance.js';

/** The topic of everything that is pushed here, and the group that some of it goes to. */
export const TOPIC = 'balance/msg';
export const GROUP = 'balance';
/** How long the outcomes of the last pushes may take, in milliseconds: confirmed ones have 5 s. */
const OUTCOMES_MS = 6_000;
/** One of each of these in turn; confirmed pushes make the gates answer, so they are fewer. */
const KINDS: readonly PushKind[] = ['client', 'uid', 'group', 'all', 'client', 'uid', 'group', 'all', 'confirm'];

/**
 * A service that pushes all the time, whatever the cluster does, and waits for nothing: one push in each turn of its event loop, some
 * hundreds per second. It is a node of this process, so that what a receiver here knows is known to it at once.
 */
export class EndlessSender {
  private isRunning = true;
  private readonly ended: Promise<void>;
  private readonly node: LinkNode;
  private readonly api: GatewayApi;
  private counted = 0;
  private turn = 0;

  private constructor(
    private readonly app: INestApplicationContext,
    private readonly balance: PushBalance,
    private readonly uids: readonly string[],
  ) {
    this.node = app.get(LinkNode);
    this.api = app.get(GatewayApi);
    this.counted = lossesOf(this.node.counters);
    this.ended = this.run();
  }

  /** Joins the cluster at this address, and starts. */
  static async start(link: string, balance: PushBalance, uids: readonly string[]): Promise<EndlessSender> {
    const module = GatewayApiModule.forRoot({ link, secret: 'shared', nodeId: `sender-${balance.log.stream.run}` });
    const app = await NestFactory.createApplicationContext(module, { logger: false });
    return new EndlessSender(app, balance, uids);
  }

  get counters(): Readonly<LinkCounters> {
    return this.node.counters;
  }

  /** Gates that it knows. */
  get gateCount(): number {
    return [...this.node.peers.values()].filter(({ info }) => info.role === 'gate').length;
  }

  /** Sends no more, waits for the outcomes, and leaves the cluster. What has none by then stays open in the books. */
  async stop(): Promise<void> {
    this.isRunning = false;
    await this.ended;
    const end = performance.now() + OUTCOMES_MS;
    while (this.balance.log.open.length > 0 && performance.now() < end) await delay(20);
    this.noteCounts();
  }

  async close(): Promise<void> {
    this.isRunning = false;
    await this.ended;
    await this.app.close();
  }

  private async run(): Promise<void> {
    while (this.isRunning) {
      this.pushOne();
      await delay(1);
    }
  }

  private pushOne(): void {
    const { balance, uids } = this;
    const turn = this.turn++;
    const kind = KINDS[turn % KINDS.length] as PushKind;
    const { bound } = balance;
    // Without a client there is no client id, but a uid can always be used.
    if (kind === 'client' && bound.length === 0) return;
    const target =
      kind === 'client'
        ? bound[((turn / KINDS.length) | 0) % bound.length]?.clientId
        : kind === 'uid'
          ? uids[((turn / KINDS.length) | 0) % uids.length]
          : undefined;
    this.noteCounts();
    const payload = balance.intend(kind, target);
    const outcome = this.send(kind, target, payload);
    this.noteCounts(payload.seq);
    outcome.then(
      () => balance.log.settle(payload.seq, ACCEPTED),
      (error: { code?: string }) => balance.log.settle(payload.seq, error.code ?? 'NO_CODE'),
    );
  }

  private send(kind: PushKind, target: string | undefined, body: unknown): Promise<unknown> {
    const { api } = this;
    switch (kind) {
      case 'client':
        return api.sendToClient(target as never, TOPIC, body);
      case 'uid':
        return api.sendToUid(target as string, TOPIC, body);
      case 'group':
        return api.sendToGroup(GROUP, TOPIC, body);
      case 'all':
        return api.sendToAll(TOPIC, body);
      case 'confirm':
        return api.sendToGroup(GROUP, TOPIC, body, undefined, { confirm: true });
    }
  }

  /** Takes over what the node has counted since; within the call of a push, for that one only. */
  private noteCounts(only?: number): void {
    const counted = lossesOf(this.node.counters);
    this.balance.noteCount(counted - this.counted, undefined, only);
    this.counted = counted;
  }
}

/** What a node has counted of messages of its own that were not sent, or may not have arrived. */
function lossesOf({ refused, uncertain }: Readonly<LinkCounters>): number {
  return refused + uncertain;
}
