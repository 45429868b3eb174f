import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TcpLink, type TcpLinkCounters } from '@nestgate/link';
import { LinkProbe, TcpRelay } from '@nestgate/testing';
import { heldBytes } from '../support/held-memory.js';
import { LinkNeighbours } from '../support/link-neighbours.js';
import { nodeInfo, RawLinkPeer, WIRE, wireMessage } from '../support/raw-link-peer.js';

const SECRET = 'a secret of the tests';
const NOT_A_NODE = 'Not a nestgate node';
const BAD_LENGTH = 'A message of an impossible length';
const BAD_SECRET = 'The secret is not the same';

/** What a connection sends, the answer, and its counter. */
interface Attack {
  readonly name: string;
  readonly run: (outsider: RawLinkPeer) => void | Promise<void>;
  readonly told: string | undefined;
  readonly counted: keyof TcpLinkCounters | undefined;
}

const corrupt = (name: string, run: Attack['run'], told: string): Attack => ({ name, run, told, counted: 'corrupt' });

const claim = (bytes: readonly number[]): Buffer => Buffer.concat([Buffer.from(bytes), Buffer.alloc(64)]);

/** Message types that are not allowed before both sides are ready. */
const early = [WIRE.frame, WIRE.cast, WIRE.info, WIRE.ping, WIRE.bye, WIRE.ready, 99];

const ATTACKS: readonly Attack[] = [
  corrupt(
    'random bytes',
    outsider => outsider.raw(Buffer.concat([Buffer.of(7, 7, 7, 7), randomBytes(65_536)])),
    BAD_LENGTH,
  ),
  corrupt('a request of HTTP', outsider => outsider.raw(Buffer.from('GET / HTTP/1.1\r\n\r\n')), BAD_LENGTH),
  corrupt('a length of 4 GiB', outsider => outsider.raw(claim([0xff, 0xff, 0xff, 0xff, 1])), BAD_LENGTH),
  corrupt('a length of 8 GiB', outsider => outsider.raw(claim([0, 0, 0, 0, 2, 0, 0, 0])), BAD_LENGTH),
  corrupt(
    'a length of 2 MiB after its hello',
    outsider => {
      outsider.sayHello();
      outsider.raw(claim([0, 0, 0x20, 0, 2]));
    },
    BAD_LENGTH,
  ),
  corrupt('a hello that is too short', outsider => outsider.send(WIRE.hello, Buffer.alloc(20, 2)), NOT_A_NODE),
  corrupt(
    'two hellos',
    outsider => {
      outsider.sayHello();
      outsider.sayHello();
    },
    NOT_A_NODE,
  ),
  {
    name: 'another version',
    run: outsider => outsider.sayHello(undefined, 7),
    told: 'Version 2 of the link does not go with version 7',
    counted: 'refused',
  },
  ...early.map(type => corrupt(`the type ${type} first`, outsider => outsider.send(type, 'xx'), NOT_A_NODE)),
  ...early.map(type =>
    corrupt(
      `the type ${type} after its hello`,
      outsider => {
        outsider.sayHello();
        outsider.send(type, JSON.stringify(nodeInfo('w1')));
      },
      NOT_A_NODE,
    ),
  ),
  {
    name: 'a proof of nothing',
    run: outsider => {
      outsider.sayHello();
      outsider.send(WIRE.proof);
    },
    told: BAD_SECRET,
    counted: 'unauthorized',
  },
  {
    name: 'a proof without the secret',
    run: async outsider => {
      outsider.sayHello();
      const { length } = await outsider.next(WIRE.hello);
      outsider.send(WIRE.proof, Buffer.concat([randomBytes(length - 1), Buffer.from(JSON.stringify(nodeInfo('w2')))]));
    },
    told: BAD_SECRET,
    counted: 'unauthorized',
  },
  {
    name: 'the nonce of the gate, and a proof without the secret',
    run: async outsider => {
      const hello = await outsider.next(WIRE.hello);
      outsider.send(WIRE.hello, hello);
      outsider.send(WIRE.proof, await outsider.proof(nodeInfo('w2'), { nonce: hello.subarray(1) }));
    },
    told: BAD_SECRET,
    counted: 'unauthorized',
  },
  {
    name: 'that they are connected already',
    run: outsider => outsider.send(WIRE.duplicate),
    told: undefined,
    counted: undefined,
  },
  { name: 'a refusal', run: outsider => outsider.send(WIRE.refused, 'you'), told: undefined, counted: undefined },
];

describe('unauthenticated connections to a gate of the tcp link', () => {
  let neighbours: LinkNeighbours;
  let outsiders: RawLinkPeer[] = [];

  beforeEach(async () => {
    neighbours = await LinkNeighbours.start(SECRET);
  });

  afterEach(async () => {
    for (const { socket } of outsiders) socket.destroy();
    outsiders = [];
    await neighbours.end();
  });

  async function dial(secret = 'guessed'): Promise<RawLinkPeer> {
    const outsider = await RawLinkPeer.dial(neighbours.port, secret);
    outsiders.push(outsider);
    return outsider;
  }

  /** The gate has disclosed nothing about itself and reported no peer. */
  function checkSilence(outsider: RawLinkPeer): void {
    const heard = outsider.messages.map(([type]) => type);
    const allowed = new Set<number>([WIRE.hello, WIRE.refused, WIRE.duplicate]);
    expect(heard.filter(type => !allowed.has(type))).toEqual([]);
    expect([...neighbours.gate.link.peers().keys()]).toEqual(['w1']);
    expect(neighbours.gate.frames.filter(([from]) => from !== 'w1')).toEqual([]);
  }

  it.each(ATTACKS)('who say $name are refused', async ({ run, told, counted }) => {
    const outsider = await dial();
    await run(outsider);
    expect(await outsider.refusal()).toBe(told);
    checkSilence(outsider);
    outsider.socket.destroy();
    await neighbours.check();
    const counts = { overflow: 0, silent: 0, unauthorized: 0, corrupt: 0, refused: 0 };
    expect(neighbours.link.counters).toEqual(counted ? { ...counts, [counted]: 1 } : counts);
  });

  it('who repeat what a worker has once said are refused, with all that it said', async () => {
    // Everything that a real worker sends, from its hello to its frames.
    const relay = await TcpRelay.start(neighbours.port);
    const worker = new LinkProbe(new TcpLink({ url: `tcp://127.0.0.1:${relay.port}`, secret: SECRET }), nodeInfo('w2'));
    await worker.open();
    worker.link.send('g1', Buffer.from('transfer everything'));
    await neighbours.gate.meets('w2');
    await worker.link.close({ drain: true });
    await neighbours.alone();
    await relay.end();
    expect(neighbours.gate.texts('w2')).toEqual(['transfer everything']);

    const outsider = await dial();
    outsider.raw(relay.record);
    expect(await outsider.refusal()).toBe(BAD_SECRET);
    expect(neighbours.gate.texts('w2')).toEqual(['transfer everything']);
    expect(neighbours.gate.story('w2')).toEqual(['join 1', 'leave']);
    outsider.socket.destroy();
    await neighbours.check();
    expect(neighbours.link.counters?.unauthorized).toBe(1);
  });

  it('who go on talking after they were refused cost nothing', async () => {
    const outsider = await dial();
    outsider.send(WIRE.frame, 'too early');
    const before = heldBytes();
    const held: number[] = [];
    const junk = Buffer.alloc(1024 * 1024, wireMessage(WIRE.hello, Buffer.alloc(33, 1)));
    outsider.socket.setMaxListeners(0);
    for (let sent = 1; !outsider.socket.destroyed && sent <= 150; sent++) {
      await new Promise<void>(resolve => {
        outsider.socket.write(junk, () => resolve());
        outsider.socket.once('close', () => resolve());
      });
      // Freed buffers may be seen a while later, so the least of several samples counts.
      if (sent > 20 && !outsider.socket.destroyed) held.push(heldBytes() - before);
    }
    expect(held.length).toBeGreaterThan(0);
    expect(Math.min(...held)).toBeLessThan(16 * 1024 * 1024);
    expect(await outsider.refusal()).toBe(NOT_A_NODE);
    checkSilence(outsider);
    await neighbours.check();
    expect(neighbours.link.counters?.corrupt).toBe(1);
  });
});
