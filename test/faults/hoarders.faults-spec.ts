import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '@nestgate/testing';
import { RawSocket, resetRawSockets, upgradeRequest } from '../e2e/support/raw-socket.js';
import { OP, textFrame, wsFrame } from '../e2e/support/raw-websocket.js';
import { FaultCluster, type FaultClusterOptions, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { MemoryWatch } from './support/memory-watch.js';

const MIB = 1024 * 1024;
const CONNECTIONS = 50;
const ATTACK_MS = isLong ? 25_000 : 3_000;
const EVERY_MS = 20;
/** Control frames of one connection each time: many times what it may send. */
const CONTROLS = 200;
const PAYLOAD = Buffer.alloc(125, 'p');
/** What is pushed to each connection each time. */
const PUSHES = 4;
const PUSH_BYTES = 60_000;
/** What a client may have beyond its soft bound, of 1 MiB, and all clients together. */
const BURST_BYTES = 2 * MIB;
const TOTAL_BYTES = 40 * MIB;
/** Frames of 60,000 bytes that each connection has in flight: 180 MB in all, more than the gate may grow by. */
const IN_FLIGHT = 60;
/** What the process may grow by beside what its limits let it hold: garbage, and what the allocator keeps. In bytes of RSS. */
const MAX_RSS = 64 * MIB;
/** What may be left when the attack is over and garbage is collected, in bytes of heap and buffers. */
const MAX_LEFT = 12 * MIB;

/** Something that lasts until it is told to stop; resolves with how many times it has done its harm. */
type Attack = (isOver: () => boolean) => Promise<number>;

describe(`${CONNECTIONS} connections that want the gate to hold as much as possible`, () => {
  let cluster: FaultCluster;

  afterEach(async () => {
    resetRawSockets();
    await cluster.end();
  });

  /** Starts one gate, attacks it, and checks what it has grown by. */
  async function expectFlat(
    name: string,
    options: Partial<FaultClusterOptions>,
    maxRss: number,
    attack: Attack,
  ): Promise<void> {
    cluster = await FaultCluster.start({ link: 'tcp', gates: 1, workers: 1, ...options });
    const gate = cluster.gates[0]!;
    const heap = await gate.heap();
    const memory = new MemoryWatch([gate]);
    const endsAt = performance.now() + ATTACK_MS;
    const times = await attack(() => performance.now() > endsAt);
    memory.end();
    const { counts } = await gate.state();
    resetRawSockets();
    // What was under way to them arrives, and is dropped.
    let leftRss = 0;
    const isLittle = async () => (leftRss = (await gate.heap()) - heap) < MAX_LEFT;
    await waitUntil('what was held to be given back', isLittle, 15_000).catch(() => undefined);
    printFigures(name, {
      times,
      gateRss: memory.growthOf([gate]),
      leftRss,
      closed: JSON.stringify(counts?.['connections_closed']),
      paused: JSON.stringify(counts?.['reads_paused']),
    });
    expect(times).toBeGreaterThan(0);
    expect(memory.growthOf([gate])).toBeLessThan(maxRss);
    expect(leftRss).toBeLessThan(MAX_LEFT);
  }

  /** A connection whose data is counted and forgotten. */
  async function connect(onBytes: (bytes: number) => void = () => undefined): Promise<RawSocket> {
    const socket = await RawSocket.open(cluster.gates[0]!.port);
    socket.send(upgradeRequest());
    await socket.answer();
    socket.onData = data => {
      socket.received = Buffer.alloc(0);
      onBytes(data.length);
    };
    return socket;
  }

  /** All of them send this as often as they can, and connect again when they have been closed. */
  function flood(frames: Buffer): Attack {
    return async isOver => {
      let times = 0;
      const one = async (): Promise<void> => {
        for (let socket = await connect(); !isOver(); await delay(EVERY_MS)) {
          if (socket.ended) socket = await connect();
          socket.send(frames);
          times++;
        }
      };
      await Promise.all(Array.from({ length: CONNECTIONS }, one));
      return times;
    };
  }

  /** All join a group that is pushed to as fast as the link takes it; those that are closed are replaced. */
  function burst(reads: boolean): Attack {
    const join = textFrame('{"topic":"fan/join","body":{"group":"all"},"id":1}');
    return async isOver => {
      const body = 'x'.repeat(PUSH_BYTES);
      const sockets: RawSocket[] = [];
      let times = 0;
      while (!isOver()) {
        for (let i = 0; i < CONNECTIONS; i++) {
          const before = sockets[i];
          if (before && !before.ended) continue;
          const socket = (sockets[i] = await connect());
          socket.send(join);
          if (!reads) socket.socket.pause();
        }
        for (let i = 0; i < PUSHES; i++) await cluster.workers[0]!.push('all', 'fan/msg', body);
        times++;
        await delay(EVERY_MS);
      }
      return times;
    };
  }

  /** Each has as many large frames in flight as it may, and reads what comes back. */
  const echo: Attack = async isOver => {
    const frame = textFrame(JSON.stringify({ topic: 'echo/echo', body: 'x'.repeat(PUSH_BYTES) }));
    let times = 0;
    const one = async (): Promise<void> => {
      let received = 0;
      const socket = await connect(bytes => {
        received += bytes;
        for (; received >= PUSH_BYTES && !isOver(); received -= PUSH_BYTES, times++) socket.send(frame);
      });
      for (let i = 0; i < IN_FLIGHT; i++) socket.send(frame);
      while (!isOver()) await delay(EVERY_MS);
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, one));
    return times;
  };

  const controls = (opcode: number) =>
    Buffer.concat(Array.from({ length: CONTROLS }, () => wsFrame({ opcode, payload: PAYLOAD })));
  const bursts = { sendBurstBytes: BURST_BYTES, sendBurstTotalBytes: TOTAL_BYTES };
  const heldRss = CONNECTIONS * MIB + TOTAL_BYTES;
  const timeout = ATTACK_MS + 60_000;

  it('with pings do not', () => expectFlat('pings', {}, MAX_RSS, flood(controls(OP.ping))), timeout);

  it('with pongs to no ping do not', () => expectFlat('pongs', {}, MAX_RSS, flood(controls(OP.pong))), timeout);

  it(
    'by reading nothing of what is pushed to them get what its limits allow',
    () => expectFlat('not reading', { gate: bursts }, heldRss + MAX_RSS, burst(false)),
    timeout,
  );

  it(
    'with pushes that a hook takes long to look at get what its limits allow',
    () => expectFlat('slow hook', { gate: bursts, sendHookMs: 500 }, heldRss + MAX_RSS, burst(true)),
    timeout,
  );

  it(
    'with large frames in flight do not: those wait with the clients until the worker has taken what is before them',
    () => expectFlat('large frames', { gate: { concurrentTasks: IN_FLIGHT } }, 2 * MAX_RSS, echo),
    timeout,
  );
});
