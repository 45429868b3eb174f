import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { NatsWarnings } from './nats-warnings.js';

const QUIET_MS = 60_000;

describe('NatsWarnings', () => {
  let said: string[];
  let warnings: NatsWarnings;

  beforeEach(() => {
    jest.useFakeTimers();
    said = [];
    warnings = new NatsWarnings(message => said.push(message));
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('warns once a minute of each kind, and says how many it has left out', () => {
    for (let n = 0; n < 3; n++) warnings.warn('a', `a${n}`);
    warnings.warn('b', 'b0');
    expect(said).toEqual(['a0', 'b0']);
    jest.advanceTimersByTime(QUIET_MS - 1);
    warnings.warn('a', 'a3');
    jest.advanceTimersByTime(1);
    warnings.warn('a', 'a4');
    warnings.warn('b', 'b1');
    expect(said.slice(2)).toEqual(['a4 (and 3 more of the kind before)', 'b1']);
  });

  it('warns at once of what was over meanwhile', () => {
    warnings.warn('a', 'a0');
    warnings.warn('a', 'a1');
    warnings.forget('a');
    warnings.warn('a', 'a2');
    expect(said).toEqual(['a0', 'a2']);
  });
});
