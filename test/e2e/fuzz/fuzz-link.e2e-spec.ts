import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Link, type LinkEvents, LinkNode, type NodeInfo } from '@nestgate/link';
import { type Operation, PendingCall, sessionContract } from '@nestgate/link/internal';
import fc from 'fast-check';
import { type Batch, batch, bytesOf, framing, KIND, type Laid, OPERATIONS } from './support/fuzz-link-batches.js';
import { fuzz, fuzzTimeout, randomBytes } from './support/fuzz-support.js';
import { nodeInfo } from '../support/raw-link-peer.js';

const SHARE = 2.6;
const KNOWN = new Set(OPERATIONS.map(({ id }) => id));
/** Version, sequence and time: what a batch has before its messages. */
const HEAD_BYTES = 13;
/** Channels of a round at most. */
const MAX_CHANNELS = 10_000;
/** Operation, key, time left: what a request has before its arguments. */
const REQUEST_BYTES = 18;

/** A link without a network: keeps what is sent, and lets a test say what comes. */
class StillLink implements Link {
  readonly routesChannels = false;
  readonly sent: [to: string, frame: Buffer][] = [];
  events: LinkEvents | undefined;

  async open(_self: unknown, events: LinkEvents): Promise<void> {
    this.events = events;
  }
  peers(): ReadonlyMap<string, NodeInfo> {
    return new Map();
  }
  announce(): void {}
  send(to: string, frame: Buffer): 'sent' {
    this.sent.push([to, frame]);
    return 'sent';
  }
  cast(): 'sent' {
    return 'sent';
  }
  async join(): Promise<void> {}
  leave(): void {}
  async close(): Promise<void> {}
}

/** A request, and how it has ended, which is known a moment later. */
interface Asked {
  /** Series, generation and slot, as its answer must name them. */
  readonly key: readonly [number, number, number];
  outcome: 'answered' | 'failed' | undefined;
}

describe('fuzzed batches of a peer', () => {
  const link = new StillLink();
  const node = new LinkNode({ link, self: nodeInfo('g1', 'gate') });
  /** Calls that a handler has got, by who called. */
  const calls = { hostile: 0, other: 0 };
  const sync = sessionContract.sync as Operation<unknown, unknown>;

  beforeAll(async () => {
    await node.open();
    for (const id of ['hostile', 'other']) link.events?.onPeer({ type: 'join', node: nodeInfo(id) });
    for (const operation of OPERATIONS) {
      const handle = (_args: unknown, { peer }: { readonly peer: { readonly info: { readonly id: string } } }) => {
        calls[peer.info.id as keyof typeof calls]++;
        return undefined;
      };
      // What handlers answer is not what is tried here.
      const served = { ...operation, result: sync.result };
      node.dispatcher.serve({ served }, { served: handle } as never);
    }
  });
  afterAll(() => node.close({ drain: false }));

  /** A request to a peer that waits for its answer. */
  function ask(id: string): Asked {
    const peer = node.peers.get(id);
    if (!peer) throw new Error(`${id} is no peer`);
    const pending = new PendingCall(sync);
    peer.request(sync, undefined, pending, performance.now() + 30_000);
    const { series, generation, slot } = pending;
    const asked: Asked = { key: [series, generation, slot], outcome: undefined };
    const settle = (outcome: Asked['outcome']) => () => void (asked.outcome = outcome);
    pending.promise.then(settle('answered'), settle('failed'));
    return asked;
  }

  /** An answer to a request, in a batch of its own. */
  function answer(key: Asked['key']): Buffer {
    const bytes = Buffer.alloc(HEAD_BYTES + 4 + 16);
    bytes[0] = 2;
    bytes.writeDoubleLE(Date.now(), 5);
    bytes.writeUInt32LE(16, HEAD_BYTES);
    bytes[HEAD_BYTES + 4] = KIND.response;
    bytes.writeUInt16LE(sync.id, HEAD_BYTES + 5);
    for (const [i, part] of key.entries()) bytes.writeUInt32LE(part, HEAD_BYTES + 7 + 4 * i);
    return bytes;
  }

  /** What may be passed over in silence: what only a newer neighbour knows, and figures of the flow. */
  function isIgnored({ kind, rest }: Laid): boolean {
    if (kind === KIND.mark) return rest.length >= 16;
    if (kind === KIND.taken) return rest.length >= 28;
    if (kind === KIND.missed) return rest.length >= 8;
    if (kind === KIND.cast) return rest.length >= 12 && rest.readUInt32LE(4) < MAX_CHANNELS;
    if (kind === KIND.counted) return rest.length >= 20;
    if (kind === KIND.digest) {
      const channels = rest.length >= 32 ? rest.readUInt32LE(28) : Number.POSITIVE_INFINITY;
      return channels <= MAX_CHANNELS && rest.length >= 32 + 12 * channels;
    }
    if (kind !== KIND.request) return kind !== KIND.response && kind !== -1;
    return rest.length >= REQUEST_BYTES && !KNOWN.has(rest.readUInt16LE(0));
  }

  async function check(input: Batch | Buffer): Promise<void> {
    const bytes = Buffer.isBuffer(input) ? input : bytesOf(input, 'g1.x.1');
    const [own, foreign] = [ask('hostile'), ask('other')];
    const { corrupt, late } = node.counters;
    const { hostile, other } = calls;
    const { laid, isBroken } = framing(bytes);
    link.events?.onFrame('hostile', bytes);
    await Promise.resolve();

    const handled = calls.hostile - hostile;
    const answered = own.outcome === undefined ? 0 : 1;
    const counted = node.counters.corrupt - corrupt + node.counters.late - late;
    const owed = laid.filter(each => !isIgnored(each)).length + (isBroken ? 1 : 0);
    // An answer that is malformed ends its request, and is counted too.
    const both = own.outcome === 'failed' ? 1 : 0;
    expect(handled + counted + answered).toBeGreaterThanOrEqual(owed);
    expect(handled + counted + answered).toBeLessThanOrEqual(owed + both);

    // Nobody else's request has ended by it, nobody else has called, and both peers are still heard.
    expect(foreign.outcome).toBeUndefined();
    expect(calls.other).toBe(other);
    if (own.outcome === undefined) link.events?.onFrame('hostile', answer(own.key));
    link.events?.onFrame('other', answer(foreign.key));
    await Promise.resolve();
    expect([own.outcome !== undefined, foreign.outcome]).toEqual([true, 'answered']);
    node.flush();
    for (const [to, frame] of link.sent.splice(0)) acknowledge(to, frame);
  }

  /** Gives marks back, as a peer does: what it has not taken would wait for it. */
  function acknowledge(peer: string, frame: Buffer): void {
    for (const { kind, rest } of framing(frame).laid) {
      if (kind !== KIND.mark) continue;
      const taken = Buffer.alloc(HEAD_BYTES + 4 + 29);
      taken[0] = 2;
      taken.writeDoubleLE(Date.now(), 5);
      taken.writeUInt32LE(29, HEAD_BYTES);
      taken[HEAD_BYTES + 4] = KIND.taken;
      rest.copy(taken, HEAD_BYTES + 5, 0, 16);
      rest.copy(taken, HEAD_BYTES + 5 + 20, 8, 16);
      link.events?.onFrame(peer, taken);
    }
  }

  it(
    'of right and wrong messages are handled or counted, message by message, and touch nobody else',
    () => fuzz({ name: 'batches', inputs: batch, share: 2 * SHARE, minRuns: 300, check }),
    fuzzTimeout(2 * SHARE),
  );

  it(
    'of random bytes are counted',
    () =>
      fuzz({
        name: 'random batches',
        inputs: fc
          .tuple(fc.constantFrom('', '02', `02${'00'.repeat(12)}`), randomBytes)
          .map(([head, bytes]) => Buffer.concat([Buffer.from(head, 'hex'), bytes])),
        share: SHARE / 2,
        minRuns: 200,
        check,
      }),
    fuzzTimeout(SHARE),
  );
});
