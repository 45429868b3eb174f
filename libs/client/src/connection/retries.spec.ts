import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeEnvironment } from '../testing/fake-environment.js';
import { createRetries, type Retries } from './retries.js';

let environment: FakeEnvironment;
let retries: Retries;
let opened: number;

beforeEach(() => {
  environment = new FakeEnvironment();
  opened = 0;
  retries = createRetries(environment, () => opened++);
});

const LOST = { code: 1006, reason: '' };
const FULL = { code: 1013, reason: '' };

describe('retries', () => {
  it('take longer after each failure, and say when the next one comes', async () => {
    expect(retries.after(LOST)).toBe(environment.wallNow() + 250);
    expect(retries.attempt).toBe(1);
    await environment.advance(250);
    expect(opened).toBe(1);
    expect(retries.after(LOST)).toBe(environment.wallNow() + 500);
    retries.reset();
    expect([retries.attempt, retries.after(LOST)]).toEqual([0, environment.wallNow() + 250]);
  });

  it('have one timer: a newer time replaces the earlier one', async () => {
    retries.after(LOST);
    retries.within(10_000);
    expect(environment.open.timers).toBe(1);
    await environment.advance(9_999);
    expect(opened).toBe(0);
    await environment.advance(1);
    expect(opened).toBe(1);
  });

  it('do not hurry to a gate that is overloaded', async () => {
    retries.after(FULL);
    retries.within(0);
    await environment.advance(5_999);
    expect(opened).toBe(0);
    await environment.advance(1);
    expect(opened).toBe(1);
    retries.after(LOST);
    retries.within(0);
    await environment.advance(0);
    expect(opened).toBe(2);
  });

  it('pause without a network, and while the page is frozen', async () => {
    environment.hasNetwork = false;
    expect(retries.after(LOST)).toBeNull();
    environment.hasNetwork = true;
    retries.isFrozen = true;
    expect(retries.within(0)).toBeNull();
    await environment.advance(60_000);
    expect([opened, environment.open.timers]).toEqual([0, 0]);
    retries.reset();
    retries.within(0);
    await environment.advance(0);
    expect(opened).toBe(1);
  });

  it('leave no timer after stop', () => {
    retries.after(LOST);
    retries.stop();
    expect(environment.open.timers).toBe(0);
  });
});
