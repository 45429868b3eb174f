import { afterEach, describe, expect, it } from '@jest/globals';
import { type LinkProbe, waitUntil } from '@nestgate/testing';
import { AppProcess } from '../support/app-process.js';
import { heldBytes } from '../support/held-memory.js';
import { exchange, LinkCluster, onPorts } from '../support/link-cluster.js';

const secret = 'a secret of the tests';
const MIB = 1024 * 1024;

describe('the members of a tcp link', () => {
  const cluster = new LinkCluster({ secret });
  const processes: AppProcess[] = [];

  afterEach(async () => {
    await Promise.all(processes.splice(0).map(process => process.end()));
    await cluster.end();
  });

  it('are lost when their connection is cut, and join when they are back', async () => {
    const gate = await cluster.openGate('g1');
    const relay = await cluster.relayTo(gate);
    const worker = await cluster.openWorker(onPorts(relay.port));
    await gate.meets('w1');
    for (const round of [1, 2, 3]) {
      relay.cut();
      const length = 1 + 2 * round;
      await waitUntil('the return', () => gate.story('w1').length === length && worker.story('g1').length === length);
    }
    const story = ['join 1', 'lost', 'join 1', 'lost', 'join 1', 'lost', 'join 1'];
    expect(gate.story('w1')).toEqual(story);
    expect(worker.story('g1')).toEqual(story);
    await exchange(gate, worker);
  });

  it('are lost when nothing comes any more', async () => {
    const gate = await cluster.openGate('g1');
    const relay = await cluster.relayTo(gate);
    const worker = await cluster.openWorker(onPorts(relay.port));
    await gate.meets('w1');
    await exchange(gate, worker);
    relay.hold();
    for (let i = 0; i < 7; i++) expect(gate.link.send('w1', Buffer.from('into the void'))).toBe('sent');
    await waitUntil('the loss', () => !gate.knows('w1') && !worker.knows('g1'));
    expect(gate.story('w1')).toEqual(['join 1', 'lost']);
    expect(worker.story('g1')).toEqual(['join 1', 'lost']);
  });

  it('send a leave message after all other messages', async () => {
    const gate = await cluster.openGate('g1');
    const worker = await cluster.openWorker(onPorts(LinkCluster.portOf(gate)));
    const frame = Buffer.alloc(MIB, 'x');
    for (let i = 0; i < 40; i++) expect(worker.link.send('g1', frame)).not.toBe('refused');
    await Promise.all([worker.link.close({ drain: true }), worker.link.close({ drain: true })]);
    await waitUntil('the leave', () => !gate.knows('w1'));
    expect(gate.story('w1')).toEqual(['join 1', 'leave']);
    expect(gate.frames).toHaveLength(40);
  });

  it('are known again when a gate restarts at another address with its old id', async () => {
    const before = await cluster.openGate('g1');
    const relay = await cluster.relayTo(before);
    const worker = await cluster.openWorker(onPorts(relay.port));
    await worker.meets('g1');
    await before.link.close({ drain: true });
    await waitUntil('the leave', () => !worker.knows('g1'));
    const after = await cluster.openGate('g1', { epoch: '2' });
    relay.redirect(LinkCluster.portOf(after));
    await worker.meets('g1');
    expect(worker.story('g1')).toEqual(['join 1', 'leave', 'join 2']);
    await exchange(worker, after);
  });

  it('free their id when they are dead without a word', async () => {
    const gate = await cluster.openGate('g1');
    const relay = await cluster.relayTo(gate);
    await cluster.openWorker(onPorts(relay.port));
    await gate.meets('w1');
    relay.hold();
    const there = onPorts(LinkCluster.portOf(gate));
    await expect(cluster.openWorker(there, { epoch: '2' })).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: 'The cluster refuses this node: The id "w1" is taken',
    });
    await waitUntil('the loss', () => !gate.knows('w1'));
    await cluster.openWorker(there, { epoch: '2' });
    await gate.meets('w1');
    expect(gate.story('w1')).toEqual(['join 1', 'lost', 'join 2']);
  });

  describe('in processes of their own', () => {
    /** A worker app with the id `w1`, which a gate in this process knows. */
    async function startWorker(gate: LinkProbe): Promise<AppProcess> {
      const link = `tcp://${onPorts(LinkCluster.portOf(gate))}`;
      const env = { NESTGATE_LINK: link, NESTGATE_SECRET: secret, NESTGATE_ID: 'w1' };
      const app = await AppProcess.start(env, 'worker');
      processes.push(app);
      await gate.meets('w1');
      return app;
    }

    const types = (gate: LinkProbe): string[] => gate.story('w1').map(entry => entry.split(' ')[0] as string);
    const isGone = (gate: LinkProbe) => (): boolean => !gate.knows('w1');

    it('are lost at once when they are killed, and leave when they are told to stop', async () => {
      const gate = await cluster.openGate('g1');
      (await startWorker(gate)).signal('SIGKILL');
      // Long before its silence would be noticed. A process needs a core to die.
      await waitUntil('the loss', isGone(gate), 2_500);
      (await startWorker(gate)).signal('SIGTERM');
      await waitUntil('the leave', isGone(gate));
      expect(types(gate).filter(type => type !== 'change')).toEqual(['join', 'lost', 'join', 'leave']);
    });

    it('are lost soon when they hang, and what waits for them is let go', async () => {
      const gate = await cluster.openGate('g1');
      const app = await startWorker(gate);
      const before = heldBytes();
      app.signal('SIGSTOP');
      const since = performance.now();
      const results: string[] = [];
      for (let i = 0; i < 60; i++) results.push(gate.link.send('w1', Buffer.alloc(MIB)));
      expect(results).not.toContain('refused');
      expect(results.at(-1)).toBe('congested');
      expect(heldBytes() - before).toBeGreaterThan(16 * MIB);
      // Up to here this process, which is the gate, had no time to look.
      const busyMs = performance.now() - since;
      await waitUntil('the loss', isGone(gate));
      expect(performance.now() - since - busyMs).toBeLessThan(4_500);
      expect(types(gate).at(-1)).toBe('lost');
      expect(gate.link.send('w1', Buffer.alloc(1))).toBe('refused');
      await waitUntil('the buffers to be freed', () => heldBytes() - before < 8 * MIB);
      app.signal('SIGCONT');
      await gate.meets('w1');
    });
  });
});
