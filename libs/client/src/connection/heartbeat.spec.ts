import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeEnvironment } from '../testing/fake-environment.js';
import { createHeartbeat, type Heartbeat } from './heartbeat.js';

let environment: FakeEnvironment;
let heartbeat: Heartbeat;
let pings: number;
let deaths: number;

beforeEach(() => {
  environment = new FakeEnvironment();
  [pings, deaths] = [0, 0];
  heartbeat = createHeartbeat(
    environment,
    25_000,
    () => pings++,
    () => deaths++,
  );
});

describe('a heartbeat', () => {
  it('pings only after a quiet interval, and any frame is an answer', async () => {
    for (let i = 0; i < 4; i++) {
      await environment.advance(20_000);
      heartbeat.heard();
    }
    expect(pings).toBe(0);
    await environment.advance(50_000);
    expect(pings).toBe(1);
    heartbeat.heard();
    await environment.advance(10_000);
    expect(deaths).toBe(0);
  });

  it('pings an idle connection each interval: an answer says nothing about the next one', async () => {
    for (let n = 1; n < 10; n++) {
      await environment.advance(25_000);
      expect(pings).toBe(n);
      heartbeat.heard();
    }
    // Another frame does.
    heartbeat.heard();
    await environment.advance(25_000);
    expect([pings, deaths]).toEqual([9, 0]);
  });

  it('takes a connection for dead when a pong takes more than 10 s', async () => {
    await environment.advance(25_000);
    await environment.advance(9_999);
    expect([pings, deaths]).toEqual([1, 0]);
    await environment.advance(1);
    expect(deaths).toBe(1);
  });

  it('probes with two seconds, and one ping at a time: the earlier deadline counts', async () => {
    heartbeat.probe();
    heartbeat.probe();
    expect(pings).toBe(1);
    await environment.advance(2_000);
    expect(deaths).toBe(1);
  });

  it('moves the deadline of a ping that is in flight forward, never back', async () => {
    await environment.advance(25_000);
    heartbeat.probe();
    expect(pings).toBe(1);
    await environment.advance(1_000);
    heartbeat.probe();
    await environment.advance(1_000);
    expect(deaths).toBe(1);
  });

  it('probes after sleep: when the clock has jumped, before something is sent and at the next interval', async () => {
    environment.sleep(37_500);
    heartbeat.check();
    expect(pings).toBe(0);
    environment.sleep(1);
    heartbeat.check();
    heartbeat.check();
    expect(pings).toBe(1);
    await environment.advance(2_000);
    expect(deaths).toBe(1);
  });

  it('waits for no pong while the page is hidden', async () => {
    heartbeat.probe();
    environment.isPageHidden = true;
    heartbeat.hide();
    await environment.advance(200_000);
    expect([pings, deaths]).toEqual([1, 0]);
    environment.isPageHidden = false;
    heartbeat.probe();
    await environment.advance(2_000);
    expect([pings, deaths]).toEqual([2, 1]);
  });

  it('leaves no timer after stop', async () => {
    heartbeat.probe();
    heartbeat.stop();
    expect(environment.open.timers).toBe(0);
    await environment.advance(100_000);
    expect(deaths).toBe(0);
  });
});
