import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { ACCEPTED, PushLedger } from './ledger.js';
import type { LedgerClient } from './ledger-client.js';
import type { NodeProcess } from './node-process.js';
import type { Payload } from './payload.js';

/** How long the sender rests between two pushes, in milliseconds, unless told otherwise. */
const REST_MS = 10;
/** How long what was accepted may take to arrive, in milliseconds. */
const LAST_MS = 1_000;
const TOPIC = 'fan/msg';

/** What became of a push: an error's code, or for how many members it was queued, where that is told. */
interface PushOutcome {
  readonly code?: string;
  readonly delivered?: number;
}

/** Pushes a payload to a group. */
export type Pusher = (group: string, payload: Payload) => Promise<PushOutcome>;

/** A client that has a worker push, and is told for how many members it was queued. */
export function pushOf(client: LedgerClient): Pusher {
  return async (group, payload) => {
    const { body, error } = await client.exchange('work/push', { group, topic: TOPIC, payload });
    return error ? { code: error.code } : (body as PushOutcome);
  };
}

/** A node that pushes by itself, and does not wait for the gates. Each push has so many bytes beside its payload. */
export function pushOfNode(node: NodeProcess, fillBytes = 0): Pusher {
  const extra = fillBytes > 0 ? { fill: 'x'.repeat(fillBytes) } : undefined;
  return async (group, payload) => ({
    code: await node.push(group, TOPIC, extra ? { ...payload, ...extra } : payload),
  });
}

/**
 * Messages that are pushed to a group all the time, one after another, and the members that get them. One that ended with
 * an error may have reached some members.
 */
export class PushFlow {
  readonly ledger: PushLedger;
  private isRunning = true;
  private readonly ended: Promise<void>;

  private constructor(
    private readonly push: Pusher,
    private readonly group: string,
    private readonly members: readonly LedgerClient[],
    run: string,
    private readonly restMs: number,
  ) {
    this.ledger = new PushLedger(run, group);
    for (const member of members) {
      const arrivals = this.ledger.receiver(member.name);
      member.onPush(TOPIC, body => arrivals.note(body));
    }
    this.ended = this.run();
  }

  /** Has the members, which are in no other flow, join a group of their own, and starts. */
  static async start(
    push: Pusher,
    group: string,
    members: readonly LedgerClient[],
    restMs: number = REST_MS,
  ): Promise<PushFlow> {
    for (const member of members) await member.call('fan/join', { group });
    return new PushFlow(push, group, members, (members[0] as LedgerClient).run, restMs);
  }

  /** Ends it, and waits until everything that was accepted has had its time to arrive. */
  async stop(): Promise<void> {
    this.isRunning = false;
    await this.ended;
    await waitUntil('the last pushes', () => this.ledger.total().lost === 0, LAST_MS).catch(() => undefined);
  }

  private async run(): Promise<void> {
    const { log } = this.ledger;
    while (this.isRunning && this.members.some(({ isOpen }) => isOpen)) {
      const payload = log.intend();
      const { code, delivered = Number.POSITIVE_INFINITY } = await this.push(this.group, payload);
      // An answer that says less than the truth and not that something is missing.
      const isShort = delivered < this.ledger.receiverCount;
      log.settle(payload.seq, code ?? (isShort ? `SHORT_${delivered}` : ACCEPTED));
      await delay(this.restMs);
    }
  }
}
