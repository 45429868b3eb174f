import { describe, expect, it } from '@jest/globals';
import { Signal } from './signal.js';

describe('Signal', () => {
  it('calls all listeners in order, also after one that throws, which it reports', () => {
    const heard: string[] = [];
    const defects: unknown[] = [];
    const signal = new Signal<string>(error => defects.push(error));
    const defect = new Error('a defect');
    signal.on(value => heard.push(`a ${value}`));
    signal.on(() => {
      throw defect;
    });
    signal.on(value => heard.push(`b ${value}`));
    signal.emit('x');
    expect([heard, defects]).toEqual([['a x', 'b x'], [defect]]);
  });

  it('calls no listener that has stopped, also when it stops while others are called', () => {
    const heard: string[] = [];
    const signal = new Signal<void>(() => undefined);
    const stops: (() => void)[] = [];
    stops.push(signal.on(() => (heard.push('a'), stops[1]?.())));
    stops.push(signal.on(() => heard.push('b')));
    signal.emit();
    stops[0]?.();
    signal.emit();
    expect(heard).toEqual(['a']);
  });
});
