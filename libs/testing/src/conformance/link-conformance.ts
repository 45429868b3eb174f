import { ALL_GATES, type Link, type NodeInfo, type NodeRole } from '@nestgate/link';
import { LinkProbe } from './link-probe.js';
import { waitUntil } from '../wait-until.js';

/** The test functions of a runner, so that this suite runs under any of them. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => void;
  readonly it: {
    (name: string, body: () => Promise<void>): void;
    skip(name: string, body: () => Promise<void>): void;
  };
  readonly afterEach: (body: () => Promise<void>) => void;
  readonly expect: (actual: unknown) => { toEqual(expected: unknown): void };
}

/** How a suite makes links of one driver. */
export interface LinkDriver {
  /** All links that it makes between two calls of `reset` must find each other. */
  createLink(role: NodeRole, id: string): Link | Promise<Link>;
  reset(): void | Promise<void>;
  /** Removes a node without a leave message; or the reason why the driver has no such case. */
  readonly sever: ((id: string) => void | Promise<void>) | string;
}

/** What every link driver must do. */
export function linkConformance(name: string, runner: TestRunner, driver: LinkDriver): void {
  const { describe, it, afterEach, expect } = runner;

  describe(`link conformance: ${name}`, () => {
    let probes: LinkProbe[] = [];

    afterEach(async () => {
      for (const { link } of probes) await link.close({ drain: false });
      probes = [];
      await driver.reset();
    });

    async function open(id: string, role: NodeRole, epoch = '1'): Promise<LinkProbe> {
      const info: NodeInfo = { id, role, epoch, modules: [], draining: false };
      const probe = new LinkProbe(await driver.createLink(role, id), info);
      probes.push(probe);
      return probe.open();
    }

    async function pair(): Promise<[gate: LinkProbe, worker: LinkProbe]> {
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

    it('delivers frames of any size up to 8 MiB, both ways and between small ones', async () => {
      const [gate, worker] = await pair();
      const sizes = [1, 65_536, 1_048_575, 1_048_576, 1_048_577, 3, 8_388_608, 2];
      const sent = sizes.map((size, i) => Buffer.alloc(size, `${i}:${size};`));
      for (const frame of sent) {
        expect(gate.link.send('w1', frame) === 'refused').toEqual(false);
        expect(worker.link.send('g1', frame) === 'refused').toEqual(false);
      }
      const all = () => gate.frames.length === sizes.length && worker.frames.length === sizes.length;
      await waitUntil('all frames', all, 10_000);
      for (const { frames } of [gate, worker])
        expect(frames.map(([, frame], i) => sent[i]?.equals(frame))).toEqual(sizes.map(() => true));
    });

    it('delivers frames in parts as if they were whole, and leaves the parts as they are', async () => {
      const [gate, worker] = await pair();
      const parts = [Buffer.from('head'), Buffer.alloc(700_000, 'ab'), Buffer.alloc(0), Buffer.alloc(700_000, 'cd')];
      const frames = [[Buffer.from('one')], parts, parts.slice(0, 3), [...parts, Buffer.from('tail')]];
      const sent = frames.map(frame => Buffer.concat(frame));
      for (const frame of frames) expect(worker.link.send('g1', frame) === 'refused').toEqual(false);
      expect(worker.link.cast(ALL_GATES, parts) === 'refused').toEqual(false);
      await waitUntil('all frames', () => gate.frames.length === frames.length + 1, 10_000);
      expect(gate.frames.filter(([, frame]) => sent.some(one => one.equals(frame))).length).toEqual(frames.length + 1);
      expect(frames.map(frame => Buffer.concat(frame).equals(sent[frames.indexOf(frame)] as Buffer))).toEqual(
        frames.map(() => true),
      );
    });

    it('says when a peer gets more than it takes, and when it can take more; what was accepted arrives', async () => {
      const [gate, worker] = await pair();
      const accepted: number[] = [];
      let isCongested = false;
      for (let i = 0; i < 80; i++) {
        const frame = Buffer.alloc(512 * 1024);
        frame.writeUInt32LE(i);
        const result = worker.link.send('g1', frame);
        if (result !== 'refused') accepted.push(i);
        if (result === 'congested') isCongested = true;
      }
      await waitUntil('what was accepted', () => gate.frames.length >= accepted.length, 15_000);
      expect(gate.frames.map(([, frame]) => frame.readUInt32LE(0))).toEqual(accepted);
      if (isCongested) await waitUntil('the drain', () => worker.drains.some(id => id === 'g1' || id === undefined));
      expect(worker.link.send('g1', Buffer.from('more'))).toEqual('sent');
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

    const { sever } = driver;
    const lost = async (cut: (id: string) => void | Promise<void>): Promise<void> => {
      const [gate] = await pair();
      await cut('w1');
      await waitUntil('the loss', () => gate.changes.length === 2, 10_000);
      expect(gate.changes[1]).toEqual({ type: 'lost', id: 'w1' });
      expect(gate.knows('w1')).toEqual(false);
      expect(gate.link.send('w1', Buffer.from('x'))).toEqual('refused');
    };
    if (typeof sever === 'string') it.skip(`tells when a peer is lost (${sever})`, () => Promise.resolve());
    else it('reports a peer as lost that disappears without a leave message', () => lost(sever));

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

    it('delivers a cast to a gate that has joined just before', async () => {
      const [gate, worker] = await pair();
      const names = Array.from({ length: 50 }, (_, i) => `group:${i}`);
      for (const name of names) {
        await gate.link.join(name);
        worker.link.cast(name, Buffer.from(name));
      }
      await waitUntil('all casts', () => gate.frames.length === names.length);
      expect(gate.texts('w1')).toEqual(names);
    });

    it('keeps the order of what one sender sends and casts', async () => {
      const [gate, worker] = await pair();
      await gate.link.join('group:a');
      const sent: string[] = [];
      for (let i = 0; i < 600; i++) {
        const text = `${i}:${'x'.repeat(i % 5 === 0 ? 20_000 : 20)}`;
        const result =
          i % 3 === 0
            ? worker.link.cast('group:a', Buffer.from(text))
            : i % 3 === 1
              ? worker.link.send('g1', Buffer.from(text))
              : worker.link.cast(ALL_GATES, Buffer.from(text));
        if (result !== 'refused') sent.push(text);
      }
      await waitUntil('all of it', () => gate.frames.length === sent.length);
      expect(gate.texts('w1')).toEqual(sent);
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
