import { describe, expect, it } from '@jest/globals';
import { DeadlineWheel, Deadline } from './deadline-wheel.js';
import { Defects } from './defects.js';
import { Signal } from '../node/signal.js';

describe('Defects', () => {
  it('counts by place, and survives a logger that throws', () => {
    const logged: string[] = [];
    const defects = new Defects((_error, where) => {
      logged.push(where);
      throw new Error('the disk is full');
    });
    const seen: number[] = [];
    const guarded = defects.guard('a', (value: number) => {
      seen.push(value);
      if (value > 1) throw new Error('poison');
    });
    guarded(1);
    guarded(2);
    defects.report(new Error('x'), 'b');
    expect([seen, logged, defects.counts]).toEqual([[1, 2], ['a', 'b'], { a: 1, b: 1 }]);
  });
});

describe('one that throws costs the others nothing:', () => {
  it('listeners of a signal', () => {
    const reported: unknown[] = [];
    const signal = new Signal<number>(error => reported.push(error));
    const heard: number[] = [];
    signal.on(() => {
      throw new Error('poison');
    });
    signal.on(value => heard.push(value));
    signal.emit(7);
    expect([heard, reported.length]).toEqual([[7], 1]);
  });

  it('items of a wheel that end in one turn', async () => {
    class Item extends Deadline {
      constructor(private readonly onExpire: () => void) {
        super();
      }

      override expire(): void {
        this.onExpire();
      }
    }
    const reported: unknown[] = [];
    const wheel = new DeadlineWheel(undefined, error => reported.push(error));
    const deadline = performance.now() + 10;
    let ended = 0;
    for (let i = 0; i < 5; i++) {
      const item = new Item(() => {
        if (i % 2 === 0) throw new Error('poison');
        ended++;
      });
      wheel.add(item, deadline);
    }
    await new Promise<void>(resolve => wheel.add(new Item(resolve), deadline + 60));
    expect([ended, reported.length, wheel.size]).toEqual([2, 3, 0]);
    wheel.stop();
  });
});
