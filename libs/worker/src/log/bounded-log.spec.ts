import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { BoundedLog } from './bounded-log.js';

describe('BoundedLog', () => {
  const lines: string[] = [];

  beforeEach(() => {
    jest.useFakeTimers();
    lines.length = 0;
    for (const level of ['error', 'warn', 'log'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation((...args: unknown[]) => void lines.push(args.join('|')));
    }
  });
  afterEach(() => {
    jest.restoreAllMocks();
    jest.useRealTimers();
  });

  it('writes clean lines, of errors with their stack', () => {
    const log = new BoundedLog('Part');
    log.warn('a\r\nb');
    log.log('\x1b[2J');
    log.error('\u2028');
    log.error(Object.assign(new Error('no\n'), { password: 'hunter2' }));
    expect(lines.slice(0, 3)).toEqual(['a\\u000d\\u000ab', '\\u001b[2J', '\\u2028']);
    expect(lines[3]).toMatch(/^Error: no\\u000a\|Error: no\\u000a\n +at /);
    expect(lines.join()).not.toContain('hunter2');
  });

  it('never throws, whatever the logger or the error does', () => {
    const poisoned = Object.defineProperty(new Error('x'), 'message', {
      get: () => {
        throw new Error('poison');
      },
    });
    const log = new BoundedLog('Part');
    log.error(poisoned, 'ws.message');
    expect(lines).toEqual(['ws.message: An error that cannot be shown']);
    for (const level of ['error', 'warn', 'log'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation(() => {
        throw new Error('the disk is full');
      });
    }
    for (let n = 0; n < 20; n++) log.error('a');
    log.warn('b');
    log.log('c');
    // A timer writes the line with the number of omitted lines.
    jest.advanceTimersByTime(1_001);
  });

  it('writes ten lines of a level in a second, and how many more there were', () => {
    const log = new BoundedLog('Part');
    for (let n = 0; n < 5_000; n++) log.error(`e${n}`);
    log.warn('another level');
    expect(lines).toEqual([...Array.from({ length: 10 }, (_, n) => `e${n}`), 'another level']);
    jest.advanceTimersByTime(1_001);
    expect(lines.at(-1)).toBe('4990 more lines (error) were not logged');
    jest.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(12);
    for (let n = 0; n < 11; n++) log.error('again');
    expect(lines).toHaveLength(22);
  });

  it('logs the number of omitted lines before the next line, also when its timer is late', () => {
    const log = new BoundedLog('Part', 1);
    log.error('first');
    log.error('second');
    jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 5_000);
    log.error('third');
    expect(lines).toEqual(['first', '1 more lines (error) were not logged', 'third']);
    jest.runOnlyPendingTimers();
    expect(lines).toHaveLength(3);
  });
});
