import { describe, expect, it } from '@jest/globals';
import type { LinkNode, PeerChange } from '@nestgate/link';
import type { RevocationNotice } from '@nestgate/link/internal';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { Hub } from '../hub/hub.js';
import { Memberships } from '../hub/memberships.js';
import { Revocations } from './revocations.js';
import { Revoker } from './revoker.js';

type Learn = (notices: readonly RevocationNotice[], call: { peer: { info: { role: string } } }) => void;

/** How long ago what is heard was said, in milliseconds. */
const SAID_AGO_MS = 10_000;

/** A gate that hears of revocations as the test says, with clients that are closed by being told so. */
class Bench {
  readonly uids = new Memberships<ClientAgent>();
  readonly told: [string, readonly RevocationNotice[]][] = [];
  readonly remotes = new Map<string, unknown>();
  learn: Learn = () => undefined;
  change: (change: PeerChange) => void = () => undefined;
  up: (isUp: boolean) => void = () => undefined;
  readonly revoker: Revoker;

  constructor() {
    const node = {
      remotes: this.remotes,
      dispatcher: {
        serve: (_contract: unknown, { revocations }: { revocations: Learn }) => (this.learn = revocations),
      },
      onPeer: (listener: typeof this.change) => (this.change = listener),
      onStatus: (listener: typeof this.up) => (this.up = listener),
    };
    const hub = { uids: this.uids, present: (ids: string[]) => new Set(ids), union: () => this.uids.members('ada') };
    this.revoker = new Revoker(node as unknown as LinkNode, hub as unknown as Hub, new Revocations(new GateCounters()));
    this.revoker.onModuleInit();
  }

  /** A client of `ada` that connected then, where the revocations of {@link hear} were issued at 500. */
  client(at: number): { readonly ends: unknown[] } & ClientAgent {
    const ends: unknown[] = [];
    const openedAt = performance.now() - SAID_AGO_MS - 500 + at;
    const agent = { openedAt, ends, isClosed: false, close: (...end: unknown[]) => ends.push(end) };
    this.uids.add('ada', agent as unknown as ClientAgent);
    return agent as unknown as { readonly ends: unknown[] } & ClientAgent;
  }

  hear(notice: Partial<RevocationNotice>, role = 'gate'): void {
    this.learn([{ userId: 'ada', before: 500, leftMs: 60_000, agoMs: SAID_AGO_MS, ...notice }], {
      peer: { info: { role } },
    });
  }

  join(id: string, role: string): void {
    const notify = (_operation: unknown, notices: readonly RevocationNotice[]) => this.told.push([id, notices]);
    this.remotes.set(id, { info: { id, role }, notify });
  }
}

const ENDED = [[1008, 'revoked']];

describe('Revoker', () => {
  it('closes clients whose credentials are older than a revocation of another gate, once', () => {
    const bench = new Bench();
    const [old, young, renewed, forgotten] = [100, 900, 100, 900].map(at => bench.client(at));
    bench.revoker.note(renewed as ClientAgent, 700);
    bench.revoker.note(forgotten as ClientAgent, 50);
    bench.revoker.forget(forgotten as ClientAgent);
    bench.hear({});
    expect([old, young, renewed, forgotten].map(client => client?.ends)).toEqual([ENDED, [], [], []]);
    bench.hear({});
    expect(old?.ends).toEqual(ENDED);
    bench.revoker.note(young as ClientAgent, 600);
    bench.hear({ before: 650 });
    expect(young?.ends).toEqual(ENDED);
  });

  it.each([-60_000, 60_000])('does not compare when a client came with a clock that is %d ms ahead', aheadMs => {
    const bench = new Bench();
    const [before, after] = [0, 1_000].map(at => bench.client(at));
    bench.hear({ before: Date.now() - SAID_AGO_MS + aheadMs });
    expect([before, after].map(client => client?.ends)).toEqual([ENDED, []]);
  });

  it('believes gates only, and only what can be', () => {
    const bench = new Bench();
    const client = bench.client(100);
    bench.hear({}, 'worker');
    bench.hear({ before: 'x' as never });
    for (const agoMs of [-1, Number.NaN, 1e12]) bench.hear({ agoMs });
    for (const leftMs of [0, -1, Number.NaN, 1e12, null as never]) bench.hear({ leftMs });
    for (const userId of ['', 5 as never, 'a\n']) bench.hear({ userId });
    expect(client.ends).toEqual([]);
    bench.hear({});
    expect(client.ends).toEqual(ENDED);
  });

  it('keeps no note of a client that has gone meanwhile', () => {
    const bench = new Bench();
    const gone = bench.client(900);
    (gone as { isClosed: boolean }).isClosed = true;
    bench.revoker.note(gone, 100);
    bench.hear({});
    expect(gone.ends).toEqual([]);
  });

  it('tells gates that come, and all when the link is back, in messages of a thousand', () => {
    const bench = new Bench();
    for (const [id, role] of [
      ['g2', 'gate'],
      ['w1', 'worker'],
    ] as const)
      bench.join(id, role);
    bench.change({ type: 'join', node: { id: 'g2' } } as PeerChange);
    expect(bench.told).toEqual([]);
    const uids = Array.from({ length: 2_500 }, (_, n) => `user-${n}`);
    expect(bench.revoker.revoke({ uids, before: 500, forMs: 60_000 })).toBe(0);
    for (const id of ['g2', 'w1', 'me']) bench.change({ type: 'join', node: { id } } as PeerChange);
    expect(bench.told.map(([id, notices]) => [id, notices.length])).toEqual([
      ['g2', 1_000],
      ['g2', 1_000],
      ['g2', 500],
    ]);
    bench.up(false);
    bench.up(true);
    expect(bench.told).toHaveLength(6);
  });

  it.each([{ before: Number.NaN }, { forMs: 0 }, { forMs: Number.NaN }, { forMs: Infinity }])(
    'refuses to revoke with %p',
    args => {
      const bench = new Bench();
      const client = bench.client(100);
      expect(() => bench.revoker.revoke({ uids: ['ada'], ...args })).toThrow(
        expect.objectContaining({ code: 'BAD_ARGUMENT' }),
      );
      expect(client.ends).toEqual([]);
    },
  );
});
