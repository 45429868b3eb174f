import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { FairTurns, type TurnConsumer } from './fair-turns.js';

it('one that throws keeps the others from nothing', async () => {
  const reported: string[] = [];
  const started: string[] = [];
  const node = { turn: 0, reportDefect: (_error: unknown, where = '') => void reported.push(where) };
  class Consumer implements TurnConsumer {
    isQueued = false;
    readonly canStart = false;
    constructor(readonly name: string) {}
  }
  const turns = new FairTurns<Consumer>(node, ({ name }) => {
    started.push(name);
    if (name === 'a') throw new Error('poison');
  });
  for (const name of ['a', 'b']) turns.add(new Consumer(name), false);
  for (let n = 0; n < 4; n++) await turn();
  turns.add(new Consumer('c'), true);
  for (let n = 0; n < 4; n++) await turn();
  expect([started, reported]).toEqual([['a', 'b', 'c'], ['worker.turn']]);
});
