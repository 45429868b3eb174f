import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { LoopWatch, starvedMs } from './starvation.js';
import { waitUntil } from '../wait-until.js';

describe('starvation', () => {
  it('is what a process waited for a core, and nothing of what it slept or worked', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    await once(child, 'spawn');
    const before = starvedMs([child.pid]);
    await delay(300);
    // A process that sleeps wants no core.
    expect(starvedMs([child.pid]) - before).toBeLessThan(300);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await waitUntil('the process to be forgotten', () => starvedMs([child.pid]) === 0);
    expect(starvedMs([undefined])).toBe(0);
  });

  it('is not counted against the event loop, while a loop that is blocked is', async () => {
    const watch = new LoopWatch();
    await delay(50);
    watch.take();
    const ranMs = (): number => performance.now() - starvedMs();
    const begunAt = ranMs();
    // Work, however long that takes on a busy machine. The CPU time of the process is no measure: other threads have a part in it.
    while (ranMs() - begunAt < 200);
    await delay(20);
    const { max } = watch.take();
    watch.end();
    expect(max).toBeGreaterThan(150);
  });
});
