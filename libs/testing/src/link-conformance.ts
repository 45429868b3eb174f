import { ALL_GATES, type Link, type LinkEvents, type NodeInfo, type NodeRole, type PeerChange } from '@nestgate/link';
import { waitUntil } from './wait-until.js';

/** The test functions of a runner, so that this suite runs under any of them. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => void;
  readonly it: (name: string, body: () => Promise<void>) => void;
  readonly afterEach: (body: () => Promise<void>) => void;
  readonly expect: (actual: unknown) => { toEqual(expected: unknown): void };
}

/** One link under test, and what its node was told. */
class Probe {
  readonly frames: [from: string, text: string][] = [];
  readonly changes: PeerChange[] = [];
  readonly statuses: boolean[] = [];
  readonly events: LinkEvents = {
    onFrame: (from, frame) => this.frames.push([from, frame.toString()]),
    onPeer: change => this.changes.push(change),
    onDrain: () => undefined,
    onStatus: isUp => this.statuses.push(isUp),
    onUncertain: () => undefined,
  };

  constructor(
    readonly link: Link,
    readonly info: NodeInfo,
  ) {}

  knows(id: string): boolean {
    return this.link.peers().has(id);
  }

  texts(from: string): string[] {
    return this.frames.filter(([sender]) => sender === from).map(([, text]) => text);
  }
}

/**
 * What every link driver must do. `createLink` makes a link of one cluster; all links that it makes between two calls of
 * `reset` must find each other.
 */
export function linkConformance(
  name: string,
  runner: TestRunner,
  driver: { createLink(role: NodeRole, id: string): Link | Promise<Link>; reset(): void | Promise<void> },
): void {
  const { describe, it, afterEach, expect } = runner;

  describe(`link conformance: ${name}`, () => {
    let probes: Probe[] = [];

    afterEach(async () => {
      for (const { link } of probes) await link.close({ drain: false });
      probes = [];
      await driver.reset();
    });

    async function open(id: string, role: NodeRole, epoch = '1'): Promise<Probe> {
      const info: NodeInfo = { id, role, epoch, modules: [], draining: false };
      const probe = new Probe(await driver.createLink(role, id), info);
      probes.push(probe);
      await probe.link.open(info, probe.events);
      return probe;
    }

    async function pair(): Promise<[gate: Probe, worker: Probe]> {
      const gate = await open('g1', 'gate');
      const worker = await open('w1', 'worker');
      await waitUntil('the two to meet', () => gate.knows('w1') && worker.knows('g1'));
      return [gate, worker];
    }

    it('introduces the nodes to each other, with what they say of themselves', async () => {
      const [gate, worker] = await pair();
      expect(gate.changes).toEqual([{ type: 'join', node: worker.info }]);
      expect(worker.changes).toEqual([{ type: 'join', node: gate.info }]);
      expect(gate.link.peers().get('w1')).toEqual(worker.info);
    });

    it('does not list a node among its own peers', async () => {
      const [gate] = await pair();
      expect(gate.knows('g1')).toEqual(false);
    });

    it('tells the peers of an announcement', async () => {
      const [gate, worker] = await pair();
      worker.link.announce({ ...worker.info, modules: ['chat'], draining: true });
      await waitUntil('the change', () => gate.changes.length === 2);
      expect(gate.changes[1]).toEqual({ type: 'change', node: { ...worker.info, modules: ['chat'], draining: true } });
      expect(gate.link.peers().get('w1')?.modules).toEqual(['chat']);
    });

    it('delivers frames both ways, whole and in order', async () => {
      const [gate, worker] = await pair();
      const sent = Array.from({ length: 500 }, (_, i) => `${i}:${'x'.repeat((i * 37) % 2_000)}`);
      for (const text of sent) {
        gate.link.send('w1', Buffer.from(text));
        worker.link.send('g1', Buffer.from(text));
      }
      await waitUntil('all frames', () => worker.frames.length === 500 && gate.frames.length === 500);
      expect(worker.texts('g1')).toEqual(sent);
      expect(gate.texts('w1')).toEqual(sent);
    });

    it('delivers a frame of 900 kB', async () => {
      const [gate, worker] = await pair();
      const large = 'y'.repeat(900_000);
      gate.link.send('w1', Buffer.from(large));
      await waitUntil('the frame', () => worker.frames.length === 1);
      expect(worker.texts('g1')).toEqual([large]);
    });

    it('refuses frames to nobody, to itself, and after the end', async () => {
      const [gate, worker] = await pair();
      expect(gate.link.send('nobody', Buffer.from('x'))).toEqual('refused');
      expect(gate.link.send('g1', Buffer.from('x'))).toEqual('refused');
      await gate.link.close({ drain: true });
      expect(gate.link.send('w1', Buffer.from('x'))).toEqual('refused');
      expect(gate.link.cast(ALL_GATES, Buffer.from('x'))).toEqual('refused');
      expect(worker.frames).toEqual([]);
    });

    it('tells when a peer has left', async () => {
      const [gate, worker] = await pair();
      await worker.link.close({ drain: true });
      await waitUntil('the leave', () => gate.changes.length === 2);
      expect(gate.changes[1]).toEqual({ type: 'leave', id: 'w1' });
      expect(gate.knows('w1')).toEqual(false);
    });

    it('knows a node that comes back as a new one', async () => {
      const [gate, worker] = await pair();
      await worker.link.close({ drain: true });
      await waitUntil('the leave', () => !gate.knows('w1'));
      const again = await open('w1', 'worker', '2');
      await waitUntil('the return', () => gate.link.peers().get('w1')?.epoch === '2' && again.knows('g1'));
      gate.link.send('w1', Buffer.from('hello'));
      await waitUntil('a frame', () => again.frames.length === 1);
    });

    it('casts to the gates that have joined the channel, and to no one else', async () => {
      const g1 = await open('g1', 'gate');
      const g2 = await open('g2', 'gate');
      const worker = await open('w1', 'worker');
      await waitUntil(
        'all to meet',
        () => worker.knows('g1') && worker.knows('g2') && g1.knows('w1') && g2.knows('w1'),
      );
      for (const channel of ['group:a', 'group:*', 'group:>', 'uid:a b']) await g2.link.join(channel);
      for (const channel of ['group:a', 'group:b', 'group:*', 'group:>', 'uid:a b']) {
        worker.link.cast(channel, Buffer.from(channel));
      }
      worker.link.cast(ALL_GATES, Buffer.from('all'));
      await waitUntil('the last cast', () => g1.frames.length === 1 && g2.texts('w1').includes('all'));
      expect(g1.texts('w1')).toEqual(['all']);
      expect(g2.texts('w1')).toEqual(['group:a', 'group:*', 'group:>', 'uid:a b', 'all']);
      expect(worker.frames).toEqual([]);
    });

    it('stops casting to a gate that has left the channel', async () => {
      const [gate, worker] = await pair();
      await gate.link.join('group:a');
      gate.link.leave('group:a');
      worker.link.cast('group:a', Buffer.from('late'));
      worker.link.cast(ALL_GATES, Buffer.from('all'));
      await waitUntil('the cast to all', () => gate.texts('w1').includes('all'));
      // A leave may take its time to reach a broker, so the late cast may still arrive; a second one must not.
      const before = gate.frames.length;
      worker.link.cast('group:a', Buffer.from('later'));
      worker.link.send('g1', Buffer.from('end'));
      await waitUntil('the end', () => gate.texts('w1').includes('end'));
      expect(gate.texts('w1').slice(before)).toEqual(['end']);
    });

    it('refuses an id that is taken, and keeps the incumbent', async () => {
      const [gate, worker] = await pair();
      let refused = false;
      await open('w1', 'worker', '2').catch(() => (refused = true));
      expect(refused).toEqual(true);
      gate.link.send('w1', Buffer.from('still you'));
      await waitUntil('the frame', () => worker.frames.length === 1);
    });
  });
}
