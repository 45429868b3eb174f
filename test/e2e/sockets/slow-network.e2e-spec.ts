import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Injectable } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { Gate, type GateModuleExtras, type GateOptions, GateMetrics, SendMessageHook } from '@nestgate/gate';
import {
  createTestCluster,
  type DelayedRelay,
  FakeClient,
  startDelayedRelay,
  type TestCluster,
  waitUntil,
} from '@nestgate/testing';
import { ClientSession, OnTopic, type Session } from '@nestgate/worker';

const MIB = 1024 * 1024;
/** What the kernel takes of a connection of this machine before anything waits in the gate, and some more. */
const KERNEL_BYTES = 4.5 * MIB;
const CHUNK_BYTES = 530_000;

/** Sends as many messages as it is told, in one go. */
@Controller()
class BurstTopics {
  @OnTopic('burst/run')
  async run(@Payload() { count, bytes }: { count: number; bytes: number }, @ClientSession() session: Session) {
    const fill = 'x'.repeat(bytes);
    const sends = Array.from({ length: count }, (_, n) => session.toSend('burst/part', { n, fill }));
    return (await Promise.all(sends)).length;
  }
}

/** A hook that decides about each message a moment later. */
@Injectable()
class LateHook extends SendMessageHook {
  async onSend(_session: Session, _topic: string, body: unknown): Promise<unknown> {
    await new Promise(resolve => setTimeout(resolve, 20));
    return body;
  }
}

describe('a client behind a network with latency and small buffers', () => {
  let cluster: TestCluster;
  let relay: DelayedRelay;
  let client: FakeClient;

  async function start(gate: GateOptions & GateModuleExtras = {}): Promise<void> {
    cluster = await createTestCluster({ handlers: { controllers: [BurstTopics] }, gate });
    relay = await startDelayedRelay({ target: { host: '127.0.0.1', port: cluster.gate.port } });
    client = await FakeClient.connect(`ws://127.0.0.1:${relay.port}/gate`);
  }

  afterEach(async () => {
    client.socket.terminate();
    await relay.close();
    await cluster.close();
  });

  const gate = () => cluster.gate.app.get(Gate);
  const parts = () => client.pushes('burst/part').map(({ body }) => (body as { n: number }).n);
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
  /** So many parts of this size are more than the kernel and the queue's soft bound hold together. */
  const beyond = (bytes: number) => Math.ceil((KERNEL_BYTES + 1.5 * MIB) / bytes);

  async function expectBurst(count: number, bytes: number): Promise<void> {
    client.send('burst/run', { count, bytes });
    await waitUntil(
      'all parts',
      () => {
        if (client.closedWith) throw new Error(`Closed with ${client.closedWith.code}`);
        return parts().length === count;
      },
      20_000,
    );
    expect(parts()).toEqual(numbers(count));
    expect(gate().counters.snapshot()).not.toHaveProperty('packs_dropped');
    const { outbox } = cluster.gate.app.get(GateMetrics).snapshot();
    expect([outbox.packs, outbox.bytes]).toEqual([0, 0]);
  }

  it('gets all of a burst of large messages from one handler', async () => {
    await start();
    await expectBurst(beyond(CHUNK_BYTES), CHUNK_BYTES);
  });

  it('gets all of a burst of very many messages from one handler', async () => {
    await start();
    await expectBurst(beyond(2_000), 2_000);
  });

  it('gets all of a burst that goes through a hook which takes its time', async () => {
    await start({ providers: [{ provide: SendMessageHook, useClass: LateHook }] });
    await expectBurst(1_500, 100);
  });

  it('is closed with 1013 when it takes nothing for too long, and only then', async () => {
    await start({ slowClientTimeout: 600 });
    client.socket.pause();
    const metrics = cluster.gate.app.get(GateMetrics);
    // As much again is held on the other side of the relay.
    client.send('burst/run', { count: 2 * beyond(CHUNK_BYTES), bytes: CHUNK_BYTES });
    await waitUntil('its queue to be full', () => metrics.snapshot().outbox.bytes > MIB);
    const fullAt = performance.now();
    await waitUntil('it to be closed', () => gate().counters.get('connections_closed', 1013) === 1);
    // Not at once, and not later than it may be.
    expect(performance.now() - fullAt).toBeGreaterThan(300);
    expect(gate().counters.get('slow_clients', 'stalled')).toBe(1);
    expect(gate().counters.get('packs_dropped', 'disconnect')).toBeGreaterThan(0);
    expect(metrics.snapshot()).toMatchObject({ clients: { connected: 0 }, outbox: { bytes: 0 } });
  });

  it('is closed with 1013 at once when more is sent to it than a burst may have', async () => {
    await start({ sendBurstBytes: 2 * MIB });
    client.send('burst/run', { count: beyond(CHUNK_BYTES) + 4, bytes: CHUNK_BYTES });
    await waitUntil('it to be closed', () => gate().counters.get('connections_closed', 1013) === 1);
    expect(gate().counters.get('slow_clients', 'full')).toBe(1);
    expect((await client.closed).code).toBe(1013);
  });
});
