import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Gate,
  type GateFigures,
  GateMetrics,
  type GateModuleExtras,
  type GateOptions,
  SendMessageHook,
} from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { resetRawSockets } from '../support/raw-socket.js';
import { OP, RawClient, textFrame, wsFrame } from '../support/raw-websocket.js';

const MIB = 1024 * 1024;
const PAYLOAD = Buffer.alloc(125, 'p');
const PING = wsFrame({ opcode: OP.ping, payload: PAYLOAD });
const PONG = wsFrame({ opcode: OP.pong, payload: PAYLOAD });
/** A topic that nobody serves, as long as one may be: its refusals fill a socket sooner. */
const NOWHERE = textFrame(JSON.stringify({ topic: `nowhere/${'x'.repeat(100)}` }));

/** A hook that has not decided about any message yet. */
class HangingHook extends SendMessageHook {
  calls = 0;

  onSend(): Promise<unknown> {
    this.calls++;
    return new Promise(() => undefined);
  }
}

describe('a client that wants the gate to hold as much as possible', () => {
  let cluster: TestCluster;

  async function start(gate: GateOptions & GateModuleExtras = {}): Promise<void> {
    cluster = await createTestCluster({ gate: { messageRate: 0, ...gate } });
  }

  afterEach(async () => {
    resetRawSockets();
    await cluster.close();
  });

  const figures = (): GateFigures => cluster.gate.app.get(GateMetrics).snapshot();
  const counters = () => cluster.gate.app.get(Gate).counters;
  const closed = (code: number) => counters().get('connections_closed', code);

  /** A client that reads nothing, whose socket is full. */
  async function fill(): Promise<RawClient> {
    const client = await RawClient.connect(cluster.gate.port);
    client.socket.socket.pause();
    const frames = Buffer.concat(Array.from({ length: 500 }, () => NOWHERE));
    await waitUntil('its socket to be full', async () => {
      client.send(frames);
      await new Promise(resolve => setTimeout(resolve, 10));
      return figures().outbox.bytes > 0;
    });
    return client;
  }

  it('and sends pongs that nobody asked for is closed with 1008, as for pings', async () => {
    await start();
    for (const [index, frame] of [PONG, PING].entries()) {
      const client = await RawClient.connect(cluster.gate.port);
      client.send(Buffer.concat(Array.from({ length: 100 }, () => frame)));
      await waitUntil('it to be closed', () => closed(1008) === index + 1);
      expect(await client.closed()).toBe(1008);
    }
  });

  it('may answer every ping of the gate', async () => {
    await start({ pingInterval: 50 });
    const client = await cluster.connect();
    let pings = 0;
    client.socket.on('ping', () => pings++);
    await waitUntil('more pings than it may send pongs of its own', () => pings > 40);
    expect(client.closedWith).toBeUndefined();
  });

  it('and pings, but takes nothing, is closed with 1013, and its pongs count for its queue', async () => {
    await start({ heartOverTimer: 1_500, pingInterval: 60_000, sendBurstBytes: 16 * MIB });
    const client = await fill();
    // What was under way is in the queue or has been refused by now.
    await waitUntil('the queue to rest', async () => {
      const { bytes } = figures().outbox;
      await new Promise(resolve => setTimeout(resolve, 50));
      return figures().outbox.bytes === bytes;
    });
    const { bytes, packs } = figures().outbox;
    client.send(Buffer.concat([PING, PING, PING]));
    await waitUntil('its pongs to wait', () => figures().outbox.packs === packs + 3);
    expect(figures().outbox.bytes).toBe(bytes + 3 * (2 + PAYLOAD.length));
    const pinging = setInterval(() => client.send(PING), 200);
    try {
      await waitUntil('it to be closed', () => closed(1013) === 1);
    } finally {
      clearInterval(pinging);
    }
    expect(counters().get('packs_dropped', 'disconnect')).toBeGreaterThanOrEqual(3);
    expect(figures()).toMatchObject({ clients: { connected: 0 }, outbox: { packs: 0, bytes: 0 } });
  });

  it('gets no more than a burst made for it by a hook that hangs, by bytes too', async () => {
    const hook = new HangingHook();
    await start({
      slowClientPolicy: 'drop-newest',
      sendBurstBytes: 4 * MIB,
      providers: [{ provide: SendMessageHook, useValue: hook }],
    });
    const client: FakeClient = await cluster.connect();
    const body = 'x'.repeat(60_000);
    for (let i = 0; i < 200; i++) await cluster.api.sendToClient(client.clientId, 'a/b', body);
    await waitUntil(
      'the rest to be dropped',
      () => hook.calls + counters().get('packs_dropped', 'drop-newest') === 200,
    );
    const { outbox } = figures();
    expect(outbox.bytes).toBeGreaterThan(3 * MIB);
    expect(outbox.bytes).toBeLessThanOrEqual(4 * MIB);
    // Those that were refused have not been begun: a hook would hold them.
    expect(outbox.packs).toBe(hook.calls);
    expect(client.closedWith).toBeUndefined();
  });

  it('is closed when a hook that hangs is to make more than a burst for it', async () => {
    await start({ sendBurstBytes: 4 * MIB, providers: [{ provide: SendMessageHook, useValue: new HangingHook() }] });
    const { clientId, closed: end } = await cluster.connect();
    const body = 'x'.repeat(60_000);
    for (let i = 0; i < 100; i++) await cluster.api.sendToClient(clientId, 'a/b', body).catch(() => undefined);
    expect(await end).toEqual({ code: 1013, reason: 'slow reader' });
    expect(figures().outbox).toMatchObject({ packs: 0, bytes: 0 });
    expect(counters().get('packs_dropped', 'disconnect')).toBeGreaterThan(50);
  });

  it('and sends a large frame byte by byte has it answered', async () => {
    await start();
    const client = await RawClient.connect(cluster.gate.port);
    const frame = textFrame(JSON.stringify({ topic: '$gate/ping', body: 'x'.repeat(2_000), id: 1 }));
    await client.socket.drip(frame);
    await waitUntil('the answer', () => client.frames.some(({ id }) => id === 1));
  });
});
