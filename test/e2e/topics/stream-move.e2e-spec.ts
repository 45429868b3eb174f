import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateCounters, type IncomingPack, RecvPackHandler } from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { AbortSignal, GatewayApi, GateTransport, OnTopic, type Session } from '@nestgate/worker';
import { interval, map, take } from 'rxjs';
import { LINKS, LinkSupply } from '../support/links.js';
import { ResumeClient } from '../support/resume-client.js';

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
const aborted: unknown[] = [];

@Controller()
class MovingStreams {
  constructor(private readonly api: GatewayApi) {}

  @OnTopic('mover/ticks')
  ticks(@Payload() n: number) {
    return interval(1).pipe(
      take(n),
      map(i => i + 1),
    );
  }

  @OnTopic('mover/fails')
  async *fails(@Payload() n: number) {
    for (let i = 1; i <= n; i++) {
      await delay(1);
      yield i;
    }
    throw new RpcException({ code: 'MOVED_AND_FAILED', message: 'as asked' });
  }

  @OnTopic('mover/endless')
  async *endless(@Payload() ms: number, @AbortSignal() signal: AbortSignal) {
    signal.addEventListener('abort', () => aborted.push(signal.reason));
    for (let i = 1; ; i++) {
      await delay(ms, undefined, { signal });
      yield i;
    }
  }

  /** Asks for its signal late: behind the move. */
  @OnTopic('mover/late')
  async late(@Payload() ms: number, @AbortSignal() signal: AbortSignal) {
    await delay(ms);
    return [signal.aborted, (await this.api.getClientState('none')) === 'gone'];
  }
}

/** Holds up what is asked of it. */
class SlowIntake extends RecvPackHandler {
  async onPack(_session: Session, pack: IncomingPack): Promise<void> {
    const { waitMs = 0 } = (pack.body ?? {}) as { waitMs?: number };
    if (waitMs > 0) await delay(waitMs);
    pack.forward();
  }
}

describe.each(LINKS)('streams of a session that is resumed on another gate, over %s', link => {
  let supply: LinkSupply;
  let cluster: TestCluster;
  let client: ResumeClient;

  beforeAll(async () => {
    supply = await LinkSupply.open(link);
    cluster = await createTestCluster({
      gates: 3,
      workers: 2,
      handlers: { imports: [HandlersModule], controllers: [MovingStreams] },
      gate: {
        resume: { maxDetachedPerAddress: 0 },
        messageRate: 0,
        maxConnectionsPerIp: 0,
        maxConnectionRate: 0,
        providers: [{ provide: RecvPackHandler, useClass: SlowIntake }],
      },
      link: await supply.forCluster(3, { meshed: true }),
    });
  }, 60_000);
  beforeEach(async () => {
    aborted.length = 0;
    client = await ResumeClient.open((cluster.gates[0] as { url: string }).url);
  });
  afterEach(async () => {
    client.sendOwn({ topic: '$gate/bye' });
    await waitUntil('no stream is left', () => streams() === 0);
    client.cut();
  });
  afterAll(async () => {
    await cluster.close();
    await supply.close();
  });

  const streams = (): number =>
    cluster.workers.reduce((sum, { app }) => sum + app.get(GateTransport).load().streams, 0);
  const moveTo = async (gate: number): Promise<void> => {
    const { clientId } = client;
    client.url = (cluster.gates[gate] as { url: string }).url;
    expect((await client.resume()).clientId).toBe(clientId);
  };
  const ended = async (id: number): Promise<void> => {
    await waitUntil(`the end of ${id}`, () => client.ends(id).length > 0);
  };
  const nothingElse = async (): Promise<void> => {
    expect(await client.request('echo/echo', 'still here')).toBe('still here');
    expect([client.gaps, client.ownOf('refused')]).toEqual([[], []]);
  };

  it.each([
    ['a generator', 'stream/count', { n: 400, everyMs: 1 }],
    ['an Observable', 'mover/ticks', 400],
  ])('%s: each item comes once and in order, over five moves', async (_name, topic, body) => {
    const id = client.beginStream(topic, body);
    for (const gate of [1, 2, 0, 2, 1]) {
      const { length } = client.items(id);
      await waitUntil('items', () => client.items(id).length > length + 20);
      await moveTo(gate);
    }
    await ended(id);
    expect(client.items(id)).toEqual(numbers(400));
    await nothingElse();
    expect(client.ends(id)).toEqual(['end']);
  });

  it('a generator without a pause is held back while its client moves', async () => {
    const id = client.beginStream('stream/count', { n: 30_000 });
    for (const gate of [1, 0, 2]) {
      const { length } = client.items(id);
      await waitUntil('items', () => client.items(id).length > length + 1_000);
      client.cut();
      await delay(30);
      await moveTo(gate);
    }
    await ended(id);
    expect(client.items(id)).toEqual(numbers(30_000));
    await nothingElse();
  });

  it('ten that end while their client moves have all items and one end', async () => {
    for (let round = 0; round < 6; round++) {
      const ids = numbers(10).map(n => client.beginStream('stream/count', { n: n * 3, everyMs: 1 }));
      await delay(round * 4);
      await moveTo((round % 2) + 1);
      await Promise.all(ids.map(id => ended(id)));
      await nothingElse();
      for (const [at, id] of ids.entries()) {
        expect([client.items(id), client.ends(id)]).toEqual([numbers((at + 1) * 3), ['end']]);
      }
    }
  });

  it('an error behind the move reaches the client, once', async () => {
    const id = client.beginStream('mover/fails', 60);
    await waitUntil('items', () => client.items(id).length > 5);
    await moveTo(1);
    await ended(id);
    await nothingElse();
    expect([client.items(id), client.ends(id)]).toEqual([numbers(60), ['MOVED_AND_FAILED']]);
  });

  it('a cancel behind the move reaches the handler, also one in the same write as the resume', async () => {
    const [first, second] = [client.beginStream('mover/endless', 1), client.beginStream('mover/endless', 1)];
    await waitUntil('items', () => client.items(second).length > 5);
    client.url = (cluster.gates[1] as { url: string }).url;
    await client.beginResume({}, { topic: '$gate/cancel', body: first });
    await client.greeted();
    await ended(first);
    await waitUntil('it hears', () => aborted.length === 1);
    await waitUntil('items', () => client.items(second).length > 40);
    client.cancel(second);
    await ended(second);
    await waitUntil('both to hear', () => aborted.length === 2);
    expect(aborted).toMatchObject([{ code: 'CANCELLED' }, { code: 'CANCELLED' }]);
    await nothingElse();
    expect([client.ends(first), client.ends(second)]).toEqual([['end'], ['end']]);
    expect(client.items(second)).toEqual(numbers(client.items(second).length));
  });

  it('a client that has moved is served beside its stream, and ends it when it goes', async () => {
    const id = client.beginStream('mover/endless', 2);
    await waitUntil('an item', () => client.items(id).length > 0);
    await moveTo(2);
    const asked = performance.now();
    await nothingElse();
    expect(performance.now() - asked).toBeLessThan(1_000);
    const { length } = client.items(id);
    await waitUntil('more', () => client.items(id).length > length + 10);
    expect(aborted).toEqual([]);
    client.sendOwn({ topic: '$gate/bye' });
    await waitUntil('it hears', () => aborted.length === 1);
  });

  it('one that a hook still has is begun where the client has come to', async () => {
    const id = client.beginStream('stream/count', { n: 50, everyMs: 1, waitMs: 150 });
    const request = client.ask('echo/echo', { waitMs: 150 });
    await delay(20);
    await moveTo(1);
    await ended(id);
    expect(client.items(id)).toEqual(numbers(50));
    expect((await client.answer(request)).body).toEqual({ waitMs: 150 });
    await nothingElse();
    expect(client.ends(id)).toEqual(['end']);
  });

  it('a request that runs beside a stream settles, and its signal is not aborted', async () => {
    const id = client.beginStream('mover/endless', 2);
    const request = client.ask('mover/late', 100);
    await waitUntil('an item', () => client.items(id).length > 0);
    await moveTo(1);
    expect((await client.answer(request)).body).toEqual([false, true]);
    const { length } = client.items(id);
    await waitUntil('more', () => client.items(id).length > length + 10);
    client.cancel(id);
    await ended(id);
    const moved = cluster.gates.reduce((sum, { app }) => sum + app.get(GateCounters).get('streams_ended', 'moved'), 0);
    expect(moved).toBeGreaterThan(0);
  });
});
