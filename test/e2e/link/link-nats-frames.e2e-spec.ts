import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { NatsProcess, TcpRelay, waitUntil } from '@nestgate/testing';
import { NatsNodes, type NatsProbe } from './support/link-nats-support.js';

const KIB = 1024;

/** A frame that says which one it is in each of its bytes, so that a wrong part of it is seen. */
function frameOf(number: number, size: number): Buffer {
  const frame = Buffer.alloc(size, number % 251);
  frame.writeUInt32LE(number);
  return frame;
}

/** The numbers of the frames that have come; fails for one that is not whole. */
function numbersOf(probe: NatsProbe, from: string, sizeOf: (number: number) => number): number[] {
  return probe.frames
    .filter(([sender]) => sender === from)
    .map(([, frame]) => {
      const number = frame.readUInt32LE(0);
      expect(frame.equals(frameOf(number, sizeOf(number)))).toBe(true);
      return number;
    });
}

describe('frames that are larger than a message of NATS may be', () => {
  const nodes = new NatsNodes();
  const relays: TcpRelay[] = [];
  let server: NatsProcess;

  const config = (kib: number): string => `max_payload: ${kib * KIB}`;

  beforeAll(async () => {
    server = await NatsProcess.start({ config: config(64) });
  });
  afterEach(async () => {
    await nodes.end();
    for (const relay of relays.splice(0)) await relay.end();
  });
  afterAll(() => server.end());

  it('travel in parts, to one node and to all, without mixing', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    const second = await nodes.open('g2', 'gate', server.url);
    await Promise.all([gate.meets('g2'), worker.meets('g2'), second.meets('w1', 'g1')]);
    await Promise.all([gate, second].map(({ link }) => link.join('group:a')));
    const limit = 64 * KIB;
    const sizes = [4, limit - 40, limit, limit + 1, 3 * limit, 100, 1_000 * KIB, 5];
    const sizeOf = (number: number) => sizes[number % sizes.length] as number;
    for (let number = 0; number < 40; number++) {
      const frame = frameOf(number, sizeOf(number));
      expect(worker.link.send('g1', frame)).not.toBe('refused');
      expect(worker.link.cast('group:a', frame)).not.toBe('refused');
      expect(second.link.send('g1', frame)).not.toBe('refused');
      expect(second.link.cast('group:a', frame)).not.toBe('refused');
      // Far more than the server need take at once: what is refused would only make this test about something else.
      await waitUntil('the frames', () => gate.frames.length === 4 * (number + 1));
    }
    const twice = Array.from({ length: 40 }, (_, number) => [number, number]).flat();
    expect(numbersOf(gate, 'w1', sizeOf)).toEqual(twice);
    expect(numbersOf(gate, 'g2', sizeOf)).toEqual(twice);
    expect(numbersOf(second, 'w1', sizeOf)).toEqual(Array.from({ length: 40 }, (_, number) => number));
    expect(gate.link.counters).toEqual({ denied: 0, dropped: 0, broken: 0 });
  });

  it('are whole or not there at all when connections break in the middle of them', async () => {
    const [near, far] = [await TcpRelay.start(server.port), await TcpRelay.start(server.port)];
    relays.push(near, far);
    const connection = { reconnectTimeWait: 5, reconnectJitter: 5 };
    const at = (relay: TcpRelay) => ({ url: `nats://127.0.0.1:${relay.port}`, connection });
    const gate = await nodes.open('g1', 'gate', at(near));
    const worker = await nodes.open('w1', 'worker', at(far));
    await Promise.all([gate.meets('w1'), worker.meets('g1')]);
    await gate.link.join('group:a');
    const sizeOf = (number: number) => (number % 7 === 0 ? 16 : 700 * KIB);
    let next = 0;
    const pump = setInterval(() => {
      const frame = frameOf(next, sizeOf(next));
      const result = next % 2 === 0 ? worker.link.send('g1', frame) : worker.link.cast('group:a', frame);
      if (result !== 'refused') next++;
    }, 1);
    for (let cut = 0; cut < 12; cut++) {
      const before = gate.frames.length;
      await waitUntil('some frames', () => gate.frames.length > before + 2);
      (cut % 2 === 0 ? near : far).cut();
    }
    clearInterval(pump);
    const last = next;
    const numbers = () => numbersOf(gate, 'w1', sizeOf);
    await waitUntil('one that was sent after the last cut', () => {
      if (worker.link.send('g1', frameOf(next, sizeOf(next))) !== 'refused') next++;
      return (gate.frames.at(-1)?.[1].readUInt32LE(0) ?? 0) > last;
    });
    expect(numbers()).toEqual([...new Set(numbers())].sort((a, b) => a - b));
    expect(numbers().length).toBeGreaterThan(24);
  });

  it('are cut to what the server takes now', async () => {
    const [gate, worker] = await nodes.pair(server.url);
    const sizeOf = () => 300 * KIB;
    for (const [i, kib] of [256, 16, 64].entries()) {
      server.reload(config(kib));
      // A client that does not know of the new limit yet is thrown out, and comes back.
      await waitUntil('a frame', () => {
        worker.link.send('g1', frameOf(i, sizeOf()));
        return numbersOf(gate, 'w1', sizeOf).includes(i);
      });
    }
  });
});
