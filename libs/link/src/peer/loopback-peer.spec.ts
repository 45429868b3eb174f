import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Body, BodyKind, GateError } from '@nestgate/protocol';
import { Defects } from '../common/defects.js';
import type { LinkCounters } from '../common/link-counters.js';
import { body, text } from '../wire/codec.js';
import type { RequestKey } from '../wire/envelope.js';
import { nodeOp } from '../wire/operation.js';
import { LoopbackPeer } from './loopback-peer.js';
import type { IncomingCall } from './peer.js';
import { PendingCall, RequestPool } from './pending.js';

const contract = {
  say: nodeOp(1, 'required', text, text),
  bytes: nodeOp(2, 'required', body, text),
} as const;
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

const nextTurn = () => new Promise(resolve => setImmediate(resolve));

describe('LoopbackPeer', () => {
  let defects: unknown[];
  let heard: unknown[];
  let counters: LinkCounters;
  let pool: RequestPool;
  let me: LoopbackPeer;
  let onSay: (args: string) => void;

  beforeEach(() => {
    defects = [];
    heard = [];
    counters = { gaps: 0, corrupt: 0, refused: 0, uncertain: 0, late: 0, truncated: 0 };
    const reportDefect = (error: unknown) => void defects.push(error);
    pool = new RequestPool(reportDefect);
    onSay = args => heard.push(args);
    me = new LoopbackPeer(
      { id: 'me', role: 'gate', epoch: 'e', modules: [], draining: false },
      { requests: pool, counters, defects: new Defects(reportDefect) },
      (call, args) => {
        if (call.operationId === contract.say.id) onSay(args as string);
        else heard.push(args);
      },
    );
  });
  afterEach(() => pool.close());

  const say = (word: string) => me.notify(contract.say, word);
  function wait(): PendingCall<string, string> {
    const pending = new PendingCall(contract.say);
    me.requests.add(pending, contract.say.id, performance.now() + 60_000);
    // A test looks at it later than it may end.
    pending.promise.catch(() => undefined);
    return pending;
  }
  /** The request that is answered. */
  const callOf = ({ series, generation, slot }: RequestKey): IncomingCall => ({
    peer: me,
    operationId: contract.say.id,
    series,
    generation,
    slot,
    deadline: 0,
  });
  const reply = (key: RequestKey, word: string) => me.reply(callOf(key), contract.say, word);

  it('delivers what a turn has gathered at its end, in order, in one turn', async () => {
    say('a');
    say('b');
    expect(heard).toEqual([]);
    await nextTurn();
    expect([heard, me.turns]).toEqual([['a', 'b'], 1]);
  });

  it('delivers what a delivery brings about at the next turn, so that others have theirs', async () => {
    onSay = word => {
      heard.push(word);
      if (word.length < 3) say(`${word}a`);
    };
    say('a');
    await nextTurn();
    expect(heard).toEqual(['a']);
    await nextTurn();
    await nextTurn();
    expect([heard, me.turns]).toEqual([['a', 'aa', 'aaa'], 3]);
  });

  it('delivers everything when it is flushed, each message once, also within a delivery', async () => {
    onSay = word => {
      heard.push(word);
      if (word !== 'a') return;
      say('c');
      me.flush();
      say('d');
    };
    say('a');
    say('b');
    me.flush();
    expect(heard).toEqual(['a', 'c', 'b', 'd']);
    await nextTurn();
    expect(heard).toHaveLength(4);
  });

  it('hands on what a sender wrote, and not what it writes into it later', async () => {
    const bytes = Buffer.from('before');
    me.notify(contract.bytes, { kind: BodyKind.bytes, bytes });
    bytes.write('AFTER!');
    await nextTurn();
    expect(String((heard[0] as Body).bytes)).toBe('before');
  });

  it('is not in the async scope of those who begin a turn', async () => {
    const storage = new AsyncLocalStorage<string>();
    const scopes: (string | undefined)[] = [];
    onSay = () => scopes.push(storage.getStore());
    storage.run('a client', () => say('a'));
    await nextTurn();
    expect(scopes).toEqual([undefined]);
  });

  it('delivers the others when one message fails: a defect is reported, a coded error is only counted', async () => {
    const defect = new Error('a defect');
    const first = wait();
    reply(first, 'x');
    first.succeed = () => {
      throw defect;
    };
    say('a');
    await nextTurn();
    expect([heard, counters.corrupt, defects]).toEqual([['a'], 1, [defect]]);
    // It ends in any case.
    await expect(first.promise).rejects.toMatchObject({ code: 'LINK_CORRUPT' });

    const other = wait();
    reply(other, 'x');
    other.succeed = () => {
      throw new GateError('LIMIT_EXCEEDED');
    };
    await nextTurn();
    await expect(other.promise).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect([counters.corrupt, defects]).toEqual([2, [defect]]);
  });

  it('ends a request with its answer or error, as over a link', async () => {
    const [good, bad] = [wait(), wait()];
    reply(good, 'x');
    me.fail(callOf(bad), new GateError('FORBIDDEN', 'no', { why: 1 }));
    await nextTurn();
    await expect(good.promise).resolves.toBe('x');
    await expect(bad.promise).rejects.toMatchObject({ code: 'FORBIDDEN', message: 'no', details: { why: 1 } });
    expect(me.requests.size).toBe(0);
  });

  it('counts an answer whose request has ended, and does not give it to the one in its place', async () => {
    const ended = wait();
    const { series, generation, slot } = ended;
    me.requests.end(ended, new GateError('TIMEOUT'));
    await expect(ended.promise).rejects.toMatchObject({ code: 'TIMEOUT' });
    const next = wait();
    expect(next.slot).toBe(slot);
    reply({ series, generation, slot }, 'late');
    reply(next, 'in time');
    await nextTurn();
    await expect(next.promise).resolves.toBe('in time');
    expect(counters.late).toBe(1);
  });

  it('answers with an error instead of an answer that no link would carry, and forgets what was written of it', async () => {
    const [large, small] = [wait(), wait()];
    reply(large, 'x'.repeat(MAX_ANSWER_BYTES + 1));
    reply(small, 'small');
    await nextTurn();
    await expect(large.promise).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(small.promise).resolves.toBe('small');
    expect([counters.corrupt, defects]).toEqual([0, []]);
  });

  it('ends a request whose arguments cannot travel, after the call, and sends nothing', async () => {
    const broken = {
      ...contract.say,
      args: {
        ...text,
        write: () => {
          throw new Error('not this one');
        },
      },
    };
    const pending = new PendingCall(contract.say);
    me.request(broken, 'x', pending, performance.now() + 60_000);
    expect(me.requests.size).toBe(0);
    await expect(pending.promise).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await nextTurn();
    expect(heard).toEqual([]);
  });

  it('delivers nothing any more once it has stopped', async () => {
    say('a');
    me.stop();
    await nextTurn();
    expect(heard).toEqual([]);
  });
});
