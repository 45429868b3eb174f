import { waitUntil } from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';
import type { GatewayCluster, PushClient, RunningGate } from './gateway-cluster-support.js';
import { canonical, GatewayModel } from './gateway-model-support.js';

/** Gates of the cluster. */
export const GATES = 3;

/** Uids and groups that something on their way might take for something else. */
export const NAMES: readonly string[] = [
  ...'* > a..b $SYS _INBOX.1 __proto__ constructor hasOwnProperty toString {} . 0 🦊🦊 a:b/c'.split(' '),
  ' two words ',
  'x'.repeat(128),
  'é'.repeat(64),
];

/** Ids that no gate has given out. */
const GARBAGE = ['nobody', '', 'gate-0.zzz.1', 'gate-1..1', '__proto__', 'gate-2.0.0.0'];
/** Stale ids remembered at most. */
const MAX_STALE = 30;
/** Of a hundred picks so many are stale ids, and so many are no ids at all. */
const STALE_OF_100 = 8;
const GARBAGE_OF_100 = 12;

/** A cluster, what it must look like, and the clients that tell what they got. */
export class GatewayStage {
  readonly model = new GatewayModel();
  readonly clients = new Map<string, PushClient>();
  /** Operations run so far. */
  steps = 0;
  private readonly stale: string[] = [];
  private lastBody = 0;
  private lastMark = 0;

  constructor(readonly cluster: GatewayCluster) {}

  get api(): GatewayApi {
    return this.cluster.api;
  }

  /** A body that no other push has. */
  nextBody(): number {
    return ++this.lastBody;
  }

  /** The id that a number stands for: mostly a client that is there, sometimes one that was, or nonsense. */
  pick(number: number): string {
    const live = [...this.model.clients.keys()];
    const dice = number % 100;
    if (dice < STALE_OF_100 && this.stale.length > 0) return this.stale[number % this.stale.length] as string;
    if (dice < GARBAGE_OF_100 || live.length === 0) return GARBAGE[number % GARBAGE.length] as string;
    return live[number % live.length] as string;
  }

  async connect(gate: number): Promise<string> {
    const client = await this.cluster.connect(gate);
    this.clients.set(client.clientId, client);
    this.model.connect(client.clientId, gate);
    return client.clientId;
  }

  /** A client has gone, and its gate knows. */
  forget(id: string): void {
    this.clients.delete(id);
    this.model.leave(id);
    this.stale.push(id);
    if (this.stale.length > MAX_STALE) this.stale.shift();
  }

  /** Waits until the gate of a client has noticed that it is gone. */
  async untilGone(id: string): Promise<void> {
    const gate = this.cluster.gates[this.model.clients.get(id)?.gate ?? 0] as RunningGate;
    await waitUntil(`${id} to be gone`, async () => !(await gate.delegater.connected(id)));
  }

  /**
   * Compares what each client has got with what it should have. Pushes of one sender keep their order: what comes before a
   * mark was sent before it, and what should have come has come.
   */
  async expectPushes(expected: ReadonlyMap<string, readonly unknown[]>): Promise<void> {
    const ids = [...this.clients.keys()];
    if (ids.length === 0) return;
    const mark = ++this.lastMark;
    void this.api.sendToClient(ids, 'stage/mark', mark);
    const got = await Promise.all([...this.clients.values()].map(client => client.until('stage/mark', mark)));
    for (const [index, frames] of got.entries()) {
      const id = ids[index] as string;
      const bodies = frames.map(frame => frame.body);
      assertSame(`pushes to ${id}`, bodies, expected.get(id) ?? [], same);
    }
  }

  /** Everybody goes: what the next run finds is empty. */
  async reset(): Promise<void> {
    const ids = [...this.clients.keys()];
    await this.api.destroyClient(ids);
    for (const id of ids) this.forget(id);
    this.steps = 0;
  }
}

/** @throws {Error} that shows both, when they are not the same. */
export function assertSame(what: string, actual: unknown, expected: unknown, form = canonical): void {
  const [one, other] = [JSON.stringify(form(actual)), JSON.stringify(form(expected))];
  if (one !== other) throw new Error(`${what}\n  is        ${one}\n  should be ${other}`);
}

function same(value: unknown): unknown {
  return value;
}
