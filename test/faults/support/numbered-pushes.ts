import type { LinkNode } from '@nestgate/link';
import type { FakeClient } from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';

const KINDS = ['uid', 'group', 'client'] as const;

/** How often one message of each kind is sent, in milliseconds: some 400 messages a second. */
const EVERY_MS = 7;

/** What became of the messages of a {@link NumberedPushes}. */
export interface PushReport {
  readonly accepted: number;
  /** Calls that rejected. */
  readonly told: number;
  /** Messages that the sender has counted as refused, without those of calls that rejected. */
  readonly refused: number;
  readonly delivered: number;
  /** Accepted, and not delivered. */
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
}

/** Pushes numbered messages to a client by its uid, a group and its id, in turns, and never stops until told. */
export class NumberedPushes {
  private readonly accepted = new Set<string>();
  private told = 0;
  /** What the sender has counted as refused of calls that rejected. */
  private refusedOfTold = 0;
  private next = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly api: GatewayApi,
    private readonly node: LinkNode,
    private readonly client: FakeClient,
    private readonly target: { readonly uid: string; readonly group: string; readonly clientId: string },
  ) {
    this.timer = setInterval(() => this.push(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  report(): PushReport {
    const report = {
      accepted: this.accepted.size,
      told: this.told,
      refused: this.node.counters.refused - this.refusedOfTold,
      delivered: 0,
      lost: 0,
      duplicates: 0,
      reordered: 0,
    };
    for (const kind of KINDS) {
      const numbers = this.numbers(kind);
      const unique = new Set(numbers);
      report.delivered += unique.size;
      report.duplicates += numbers.length - unique.size;
      report.reordered += numbers.filter((number, at) => at > 0 && number < (numbers[at - 1] as number)).length;
      for (const number of unique) this.accepted.delete(`${kind} ${number}`);
    }
    return { ...report, lost: this.accepted.size };
  }

  private numbers(kind: (typeof KINDS)[number]): number[] {
    return this.client.pushes(`push/${kind}`).map(({ body }) => body as number);
  }

  private push(): void {
    const number = this.next++;
    const { api, node, target } = this;
    const before = node.counters.refused;
    const calls = {
      uid: api.sendToUid(target.uid, 'push/uid', number),
      group: api.sendToGroup(target.group, 'push/group', number),
      client: api.sendToClient(target.clientId, 'push/client', number),
    };
    // What of these calls is refused is refused now, and nothing else is.
    node.flush();
    const refused = node.counters.refused - before;
    let told = 0;
    const outcomes = KINDS.map(kind =>
      calls[kind].then(
        () => void this.accepted.add(`${kind} ${number}`),
        () => void told++,
      ),
    );
    void Promise.all(outcomes).then(() => {
      this.told += told;
      // Where only some have rejected, it was once for each of two gates at most.
      this.refusedOfTold += told === KINDS.length ? refused : Math.min(refused, 2 * told);
    });
  }
}
