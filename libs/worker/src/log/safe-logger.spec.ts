import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { SafeLogger } from './safe-logger.js';

const HOSTILE = 'x\r\n\x1b[31m\u2028\u202efake';

describe('SafeLogger', () => {
  let output = '';

  beforeEach(() => {
    output = '';
    for (const stream of [process.stdout, process.stderr]) {
      jest.spyOn(stream, 'write').mockImplementation(text => {
        output += String(text);
        return true;
      });
    }
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  const logger = (options = {}) => new SafeLogger({ colors: false, ...options });
  const lines = () => output.trimEnd().split('\n');

  it.each<[object, string]>([
    [{ linePerSecond: 5 }, 'unknown option "linePerSecond"; did you mean "linesPerSecond"?'],
    [{ Json: true }, 'unknown option "Json"; did you mean "json"?'],
    [{ linesPerSecond: 0 }, 'option linesPerSecond must be an integer from 1 to 1000000, or Infinity, but 0 was given'],
    [{ linesPerSecond: Number.NaN }, 'linesPerSecond must be an integer from 1 to 1000000, or Infinity, but NaN'],
    [{ linesPerSecond: '20' }, 'linesPerSecond must be an integer from 1 to 1000000, or Infinity, but "20"'],
    [{ json: 'true' }, 'option json must be true or false, but "true" was given'],
    [{ colors: 1 }, 'option colors must be true or false, but 1 was given'],
    [{ prefix: {} }, 'option prefix must be a string, but an object was given'],
    [{ logLevels: 'warn' }, 'option logLevels must be an array of verbose, debug, log, warn, error, fatal, but "warn"'],
    [
      { logLevels: ['warning'] },
      'option logLevels must be an array of verbose, debug, log, warn, error, fatal, but "warning"',
    ],
    ['Part' as unknown as object, 'the options must be an object, but a string was given'],
  ])('refuses the options %j', (options, why) => {
    expect(() => new SafeLogger(options)).toThrow(
      expect.objectContaining({ code: 'BAD_ARGUMENT', message: expect.stringContaining(why) }),
    );
  });

  it('takes all options of its own and of ConsoleLogger', () => {
    expect(() => new SafeLogger()).not.toThrow();
    expect(
      () => new SafeLogger({ linesPerSecond: Infinity, logLevels: ['warn'], json: undefined, redact: ['password'] }),
    ).not.toThrow();
  });

  it('keeps every text on its line', () => {
    const log = logger();
    log.log(HOSTILE, 'Part');
    log.warn(HOSTILE, 'Part');
    log.error(HOSTILE, 'Part');
    log.debug(HOSTILE, 'Part');
    log.fatal(HOSTILE, 'Part');
    expect(lines()).toHaveLength(5);
    for (const line of lines()) expect(line).toContain('[Part] x\\u000d\\u000a\\u001b[31m\\u2028\\u202efake');
  });

  it('shows an error by name, message and stack', () => {
    logger().error(Object.assign(new TypeError(HOSTILE), { command: { args: ['hunter2'] } }), 'Part');
    const [first, second, ...frames] = lines();
    expect(first).toMatch(/\[Part\] TypeError: x\\u000d/);
    expect(second).toMatch(/^TypeError: x\\u000d/);
    expect(frames.length).toBeGreaterThan(0);
    expect(frames.filter(frame => !/^ +at /.test(frame))).toEqual([]);
    expect(output).not.toMatch(/hunter2|\x1b|\u2028/);
  });

  it('takes what a Logger gives it', () => {
    Logger.overrideLogger(logger());
    const part = new Logger('Part');
    part.error(new Error(HOSTILE));
    part.error(HOSTILE, 'Error: x\n    at y (z:1:2)\x1b[2J');
    part.warn(HOSTILE);
    const texts = lines().filter(line => !/^ +at /.test(line));
    expect(texts.filter(line => line.includes('[Part] '))).toHaveLength(3);
    expect(texts).toHaveLength(5);
    expect(output).not.toMatch(/\x1b|\r|\u2028/);
    Logger.overrideLogger(false);
  });

  it('limits errors and warnings of each context, and nothing else', () => {
    const log = logger({ linesPerSecond: 5 });
    for (let n = 0; n < 100; n++) {
      log.error('e', 'One');
      log.warn('w', 'One');
      log.error('e', 'Two');
      log.log('l', 'One');
    }
    const count = (pattern: RegExp) => lines().filter(line => pattern.test(line)).length;
    expect([count(/ERROR \[One\]/), count(/WARN \[One\]/), count(/ERROR \[Two\]/), count(/LOG \[One\]/)]).toEqual([
      5, 5, 5, 100,
    ]);
  });

  it('does not count what its level does not show', () => {
    const log = logger({ linesPerSecond: 1, logLevels: ['error'] });
    for (let n = 0; n < 5; n++) log.warn('w');
    log.error('e');
    expect(lines()).toHaveLength(1);
  });

  describe('as JSON', () => {
    const record = (): Record<string, unknown> => JSON.parse(lines().at(-1) as string) as Record<string, unknown>;

    it('writes each text so that it reads as it was, on one line', () => {
      const log = logger({ json: true });
      for (const level of ['log', 'warn', 'error', 'debug', 'fatal'] as const) {
        log[level](HOSTILE, 'Part');
        expect(record()).toMatchObject({ level, message: HOSTILE, context: 'Part' });
      }
      expect(lines()).toHaveLength(5);
      expect(output).not.toMatch(/\x1b|\r|\u2028|\u202e/);
    });

    it('keeps the error that Nest has, without its other properties', () => {
      const error = Object.assign(new TypeError(HOSTILE), { command: { args: ['hunter2'] }, password: 'hunter2' });
      Logger.overrideLogger(logger({ json: true }));
      new Logger('Part').error(error);
      Logger.overrideLogger(false);
      expect(record()).toMatchObject({ level: 'error', message: HOSTILE, context: 'Part' });
      expect(record()['error']).toEqual({ name: 'TypeError', message: HOSTILE, stack: error.stack });
      expect(lines()).toHaveLength(1);
      expect(output).not.toContain('hunter2');
    });

    it('keeps a stack that comes as text, and cuts what is long', () => {
      const log = logger({ json: true });
      const stack = 'Error: x\n    at y (z:1:2)';
      log.error('x', stack, 'Part');
      expect(record()).toMatchObject({ message: 'x', stack, context: 'Part' });
      log.error(new Error('x'.repeat(100_000)), 'Part');
      expect(lines().at(-1)?.length).toBeLessThan(20_000);
      expect(String(record()['message'])).toMatch(/^x{4000}… \(96000 more\)$/);
    });
  });
});
