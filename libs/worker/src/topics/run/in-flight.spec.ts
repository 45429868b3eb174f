import { describe, expect, it } from '@jest/globals';
import { InFlight } from './in-flight.js';

describe('InFlight', () => {
  it('resolves at once when nothing is in flight', async () => {
    const inFlight = new InFlight();
    inFlight.add();
    inFlight.end();
    await inFlight.whenIdle(60_000);
    expect(inFlight.count).toBe(0);
  });

  it('resolves with the end of the last one', async () => {
    const inFlight = new InFlight();
    inFlight.add();
    inFlight.add();
    let isIdle = false;
    const idle = inFlight.whenIdle(60_000).then(() => (isIdle = true));
    inFlight.end();
    await new Promise(resolve => setImmediate(resolve));
    expect(isIdle).toBe(false);
    inFlight.end();
    await idle;
    expect(inFlight.count).toBe(0);
  });

  it('resolves after the timeout with what is left', async () => {
    const inFlight = new InFlight();
    inFlight.add();
    await inFlight.whenIdle(5);
    expect(inFlight.count).toBe(1);
  });
});
