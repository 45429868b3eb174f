import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import { Defects } from '../common/defects.js';
import type { LinkCounters } from '../common/link-counters.js';
import type { NodeInfo } from '../link.js';
import { JoinedChannels } from '../peer/joined-channels.js';
import type { Outbound } from '../peer/outbound.js';
import { PendingCall, RequestPool } from '../peer/pending.js';
import { RemotePeer } from '../peer/remote-peer.js';
import { ByteWriter } from '../wire/bytes.js';
import { text } from '../wire/codec.js';
import {
  NO_ANSWER,
  numberBatch,
  UNNUMBERED,
  writeBatchHeader,
  writeMissed,
  writeRequest,
  writeResult,
} from '../wire/envelope.js';
import { nodeOp } from '../wire/operation.js';
import { Dispatcher } from './dispatcher.js';
import { Inbound } from './inbound.js';
import { Signal } from './signal.js';

const say = nodeOp(1, 'required', text, text);
/** A kind of message that this version does not know. */
const NEWER_KIND = 200;

/** A batch of the messages that are written, with the number that its sender gave it. */
function batch(sequence: number, ...write: ((writer: ByteWriter) => void)[]): Buffer {
  const writer = new ByteWriter();
  writeBatchHeader(writer, performance.now());
  for (const each of write) each(writer);
  const frame = Buffer.from(writer.take());
  numberBatch(frame, sequence);
  return frame;
}

const saying = (word: string) => (writer: ByteWriter) => writeRequest(writer, say, NO_ANSWER, 0, word);

/** A message of a kind with these bytes, its length before it. */
const raw =
  (kind: number, bytes: readonly number[], length = bytes.length + 1) =>
  (writer: ByteWriter) => {
    writer.u32(length);
    writer.u8(kind);
    for (const byte of bytes) writer.u8(byte);
  };

describe('Inbound', () => {
  let counters: LinkCounters;
  let defects: unknown[];
  let heard: string[];
  let missed: unknown[];
  let gapsOf: RemotePeer[];
  let pool: RequestPool;
  let peer: RemotePeer;
  let inbound: Inbound;
  let onSay: (word: string) => void;

  beforeEach(() => {
    counters = { gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 };
    [defects, heard, missed, gapsOf] = [[], [], [], []];
    const reportDefect = (error: unknown) => void defects.push(error);
    pool = new RequestPool(reportDefect);
    const context = { requests: pool, counters, defects: new Defects(reportDefect) };
    const info: NodeInfo = { id: 'p', role: 'gate', epoch: 'e', modules: [], draining: false };
    // Nothing is sent to it, but what is reported as missing.
    peer = new RemotePeer(info, context, { castTotal: 0 } as Outbound);
    peer.reportMissed = (first, last) => void missed.push([first, last]);
    const dispatcher = new Dispatcher(context.defects);
    onSay = word => heard.push(word);
    dispatcher.serve({ say }, { say: word => onSay(word) });
    const gaps = new Signal<RemotePeer>(reportDefect);
    gaps.on(each => gapsOf.push(each));
    inbound = new Inbound(context, dispatcher, new JoinedChannels(true), gaps);
  });
  afterEach(() => pool.close());

  /** A request of this node to the peer, which has left with the batch of this number, or, with 0, has not left. */
  function ask(sentWith: number): PendingCall<string, string> {
    const pending = new PendingCall(say);
    peer.requests.add(pending, say.id, performance.now() + 60_000);
    pending.batch = sentWith;
    return pending;
  }
  const answer = (pending: PendingCall<string, string>, word: string) => {
    const { series, generation, slot } = pending;
    return (writer: ByteWriter) => writeResult(writer, say, { series, generation, slot }, word);
  };

  it('takes the messages of a batch in order, and counts them as received', () => {
    inbound.receive(peer, batch(1, saying('a'), saying('b')));
    inbound.receive(peer, batch(2, saying('c')));
    expect([heard, peer.numbers.received, counters.gaps, counters.corrupt]).toEqual([['a', 'b', 'c'], 3, 0, 0]);
  });

  it('takes nothing of those that it does not know', () => {
    inbound.receive(undefined, batch(1, saying('a')));
    expect([heard, counters.corrupt]).toEqual([[], 1]);
  });

  it('takes the neighbours of a malformed message, and counts it as one that has come', () => {
    const NO_SUCH_TEXT = [1, 0, ...Array.from({ length: 16 }, () => 0), 255, 255, 255, 255];
    inbound.receive(peer, batch(1, saying('a'), raw(1, NO_SUCH_TEXT), saying('b')));
    expect([heard, counters.corrupt, peer.numbers.received, defects]).toEqual([['a', 'b'], 1, 3, []]);
  });

  it('takes what stands before a length that is too large, and nothing after it', () => {
    inbound.receive(peer, batch(1, saying('a'), raw(1, [1, 0], 10_000), saying('b')));
    expect([heard, counters.corrupt]).toEqual([['a'], 1]);
    inbound.receive(peer, batch(2, saying('c')));
    expect(heard).toEqual(['a', 'c']);
  });

  it.each([
    ['of another version', Buffer.from([9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['that ends in its header', batch(1).subarray(0, 7)],
    ['without a byte', Buffer.alloc(0)],
  ])('counts a batch %s as corrupt', (_what, frame) => {
    inbound.receive(peer, frame);
    expect([counters.corrupt, counters.gaps, defects]).toEqual([1, 0, []]);
    inbound.receive(peer, batch(1, saying('a')));
    expect([heard, counters.gaps]).toEqual([['a'], 0]);
  });

  it('skips a kind of message of a newer version', () => {
    inbound.receive(peer, batch(1, raw(NEWER_KIND, [1, 2, 3]), saying('a')));
    expect([heard, counters.corrupt, peer.numbers.received]).toEqual([['a'], 0, 1]);
  });

  it('reports what a handler of its own throws as no fault of the peer', () => {
    onSay = () => {
      throw new TypeError('a defect');
    };
    inbound.receive(peer, batch(1, saying('a'), saying('b')));
    expect(defects).toEqual([new TypeError('a defect'), new TypeError('a defect')]);
    expect([counters.corrupt, peer.numbers.received]).toEqual([0, 2]);
  });

  it('reports missing batches to the peer, and ends the requests whose answers may have been in them', async () => {
    const [asked, waits, answered] = [ask(1), ask(0), ask(1)];
    inbound.receive(peer, batch(1, saying('a')));
    inbound.receive(peer, batch(4, answer(answered, 'yes'), saying('b')));
    expect([counters.gaps, missed, gapsOf, heard]).toEqual([2, [[2, 3]], [peer], ['a', 'b']]);
    // What is in the batch itself has come.
    await expect(answered.promise).resolves.toBe('yes');
    await expect(asked.promise).rejects.toMatchObject({ code: 'NODE_LOST' });
    // What has not left this node is not lost.
    expect([peer.requests.size, waits.table]).toEqual([1, peer.requests]);
  });

  it('reports a gap before a malformed batch', async () => {
    const asked = ask(1);
    inbound.receive(peer, batch(3, raw(1, [1, 0], 10_000)));
    expect([counters.gaps, counters.corrupt]).toEqual([2, 1]);
    await expect(asked.promise).rejects.toMatchObject({ code: 'NODE_LOST' });
  });

  it('ends what it has sent when the numbers of the peer begin again, which is no gap', async () => {
    inbound.receive(peer, batch(1, saying('a')));
    inbound.receive(peer, batch(2, saying('b')));
    const asked = ask(1);
    inbound.receive(peer, batch(1, saying('c')));
    await expect(asked.promise).rejects.toMatchObject({ code: 'NODE_LOST' });
    expect([counters.gaps, missed, heard, peer.numbers.received]).toEqual([0, [], ['a', 'b', 'c'], 1]);
  });

  it('ends the requests of the batches that the peer has not received, and no others', async () => {
    const [before, first, last, after] = [ask(4), ask(5), ask(6), ask(7)];
    inbound.receive(
      peer,
      batch(1, writer => writeMissed(writer, 5, 6)),
    );
    await expect(first.promise).rejects.toMatchObject({ code: 'NODE_LOST' });
    await expect(last.promise).rejects.toMatchObject({ code: 'NODE_LOST' });
    expect([peer.requests.size, before.generation > 0, after.generation > 0]).toEqual([2, true, true]);
    // It is about other messages, and is none that the sender counts.
    expect(peer.numbers.received).toBe(0);
  });

  it('ends a request whose answer is malformed, and counts the message', async () => {
    const asked = ask(1);
    const { series, generation, slot } = asked;
    inbound.receive(
      peer,
      batch(1, writer => {
        writer.u32(2 + 12 + 1 + 1 + 1);
        writer.u8(2);
        writer.u16(say.id);
        writer.u32x3(series, generation, slot);
        writer.u8(0);
        // A text that says it is longer than the message.
        writer.u8(255);
      }),
    );
    await expect(asked.promise).rejects.toMatchObject({ code: 'LINK_CORRUPT' });
    expect([counters.corrupt, peer.requests.size]).toEqual([1, 0]);
  });

  it('counts an answer to nothing as late', () => {
    const asked = ask(1);
    const late = answer(asked, 'late');
    peer.requests.end(asked, new GateError('TIMEOUT'));
    asked.promise.catch(() => undefined);
    inbound.receive(peer, batch(1, late));
    expect([counters.late, counters.corrupt, peer.numbers.received]).toEqual([1, 0, 1]);
  });

  it('takes the answer of no other operation', async () => {
    const asked = ask(1);
    const { series, generation, slot } = asked;
    const other = nodeOp(9, 'required', text, text);
    inbound.receive(
      peer,
      batch(1, writer => writeResult(writer, other, { series, generation, slot }, 'a lie'), answer(asked, 'true')),
    );
    await expect(asked.promise).resolves.toBe('true');
    expect(counters.corrupt).toBe(1);
  });

  it('keeps casts apart from the count of messages to this node', () => {
    inbound.receive(peer, batch(UNNUMBERED, saying('a')));
    expect([heard, peer.numbers.received, counters.gaps]).toEqual([['a'], 0, 0]);
  });
});
