import { describe, expect, it } from '@jest/globals';
import { type Drainable, DrainQueue } from './drain-queue.js';

describe('DrainQueue', () => {
  const drained: string[] = [];
  const item = (name: string, then: () => void = () => undefined): Drainable => ({
    drain() {
      drained.push(name);
      then();
    },
    onDefect() {
      drained.push(`${name} has thrown`);
    },
  });

  it('drains the others when one throws', async () => {
    drained.length = 0;
    const queue = new DrainQueue();
    queue.add(
      item('a', () => {
        throw new Error('poison');
      }),
    );
    queue.add(item('b'));
    await Promise.resolve();
    expect(drained).toEqual(['a', 'a has thrown', 'b']);
  });

  it('drains after the code at hand, in the order of listing, once', async () => {
    drained.length = 0;
    const queue = new DrainQueue();
    queue.add(item('a'));
    queue.add(item('b'));
    expect(drained).toEqual([]);
    await Promise.resolve();
    expect(drained).toEqual(['a', 'b']);
    await Promise.resolve();
    expect(drained).toEqual(['a', 'b']);
  });

  it('drains what is listed while it drains, afterwards', async () => {
    drained.length = 0;
    const queue = new DrainQueue();
    queue.add(item('a', () => queue.add(item('late'))));
    queue.add(item('b'));
    await new Promise(resolve => setImmediate(resolve));
    expect(drained).toEqual(['a', 'b', 'late']);
  });
});
