import { describe, expect, it } from '@jest/globals';
import { type Caller, createCaller } from '../node/caller.js';
import { count, flag, struct, text } from './codec.js';
import { gateContract } from '../contracts/gate-contract.js';
import { presenceContract, watchContract } from '../contracts/presence-contract.js';
import { sessionContract } from '../contracts/session-contract.js';
import { topicContract } from '../contracts/topic-contract.js';
import type { Handlers } from '../node/dispatcher.js';
import { any, castOp, concat, mergeRecords, ownerOp, queryOp, sum } from './operation.js';

const contract = {
  ask: ownerOp(1, struct({ clientId: text }), flag),
  tell: castOp(2, struct({ topic: text }), count, sum),
  all: queryOp(3, struct({ n: count }), count, sum),
} as const;

describe('the operations table', () => {
  it('has no id twice', () => {
    const ids = [sessionContract, gateContract, topicContract, watchContract, presenceContract]
      .flatMap(table => Object.values<{ id: number }>(table))
      .map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  // The functions are compiled and never run: what must not compile is marked.
  it('types callers and handlers', () => {
    const complete: Handlers<typeof contract> = {
      ask: () => true,
      tell: ({ topic }) => topic.length,
      all: ({ n }) => Promise.resolve(n),
    };
    // @ts-expect-error -- an operation without a handler
    const missing: Handlers<typeof contract> = { ask: () => true, tell: () => 1 };
    // @ts-expect-error -- a result of another type
    const mistyped: Handlers<typeof contract> = { ...complete, ask: () => 'yes' };
    // @ts-expect-error -- a handler for no operation
    const foreign: Handlers<typeof contract> = { ask: () => true, tell: () => 1, all: () => 1, more: () => 1 };
    const use = (caller: Caller<typeof contract>) => [
      caller.ask.call({ clientId: 'x' }).then((answer: boolean) => answer),
      caller.tell.cast({ topic: 'x' }),
      caller.all.gather({ n: 1 }),
      // @ts-expect-error -- arguments of another type
      caller.ask.call({ clientId: 5 }),
      // @ts-expect-error -- a question is not answered by sending it off
      caller.all.cast,
      // @ts-expect-error -- one owner has nothing to gather
      caller.ask.gather,
      // @ts-expect-error -- no such operation
      caller.other,
    ];
    expect([complete, missing, mistyped, foreign, use, createCaller]).toHaveLength(6);
  });
});

describe('merges', () => {
  it('add, join and take any', () => {
    expect(sum.merge(2, 3)).toBe(5);
    expect(any.merge(false, true)).toBe(true);
    expect(concat<string>().merge(['a'], ['a', 'b'])).toEqual(['a', 'a', 'b']);
    expect(concat<string>(true).merge(['a'], ['a', 'b'])).toEqual(['a', 'b']);
  });

  it('join records by key, whatever the key is', () => {
    const one = JSON.parse('{"__proto__":1,"a":2}') as Record<string, number>;
    const merged = mergeRecords(sum).merge(one, JSON.parse('{"__proto__":3,"b":4}') as Record<string, number>);
    expect(Object.entries(merged).sort()).toEqual([
      ['__proto__', 4],
      ['a', 2],
      ['b', 4],
    ]);
  });
});
