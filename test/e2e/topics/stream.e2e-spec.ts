import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  ParseIntPipe,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { HandlersModule } from '@nestgate-app/handlers';
import { Delegater, GateCounters } from '@nestgate/gate';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { AbortSignal, GateTransport, OnTopic } from '@nestgate/worker';
import { concatMap, delay, from, interval, map, NEVER, Observable, of, range, throwError, timer } from 'rxjs';
import { LINKS, LinkSupply } from '../support/links.js';

/** What became of the producers of the tests. */
const seen = { unsubscribed: 0, returned: 0, destroyed: 0, aborted: [] as unknown[], emitted: 0 };

@Injectable()
class Doubling implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<number>) {
    return next.handle().pipe(map(value => (typeof value === 'number' ? value * 2 : value)));
  }
}

@Catch(RangeError)
class RangeFilter implements ExceptionFilter {
  catch({ message }: RangeError) {
    return throwError(() => ({ code: 'OUT_OF_RANGE', message }));
  }
}

@Controller()
class Producers {
  @OnTopic('make/observable')
  observable() {
    return from([1, 2, 3]).pipe(concatMap(n => of(n).pipe(delay(1))));
  }

  @OnTopic('make/promised')
  promised() {
    return Promise.resolve(of('a', 'b'));
  }

  @OnTopic('make/burst')
  burst() {
    return range(0, 1_000);
  }

  @OnTopic('make/readable')
  readable() {
    return Readable.from(['x', { y: 1 }, null, 'never'].slice(0, 2));
  }

  @OnTopic('make/bytes')
  bytes() {
    return of(Buffer.from('abc'));
  }

  @OnTopic('make/value')
  value() {
    return { only: 'one' };
  }

  @OnTopic('make/nothing')
  nothing() {
    return from([]);
  }

  @OnTopic('make/failing')
  failing() {
    return from([1, 2]).pipe(concatMap(n => (n === 2 ? throwError(() => new Error('secret')) : of(n))));
  }

  @OnTopic('make/refused')
  refused() {
    throw new RpcException({ code: 'NO', message: 'not today' });
  }

  @OnTopic('make/unsendable')
  async *unsendable() {
    try {
      yield 1;
      yield { n: 1n };
      yield 3;
    } finally {
      seen.returned++;
    }
  }

  @OnTopic('make/doubled')
  @UseInterceptors(Doubling)
  doubled() {
    return of(1, 2, 3);
  }

  @OnTopic('make/intercepted')
  @UseInterceptors(Doubling)
  async *intercepted() {
    yield 1;
    yield 2;
  }

  @OnTopic('make/filtered')
  @UseFilters(RangeFilter)
  filtered() {
    return of(1).pipe(concatMap(() => timer(1).pipe(concatMap(() => throwError(() => new RangeError('too far'))))));
  }

  @OnTopic('make/piped')
  piped(@Payload(ParseIntPipe) n: number) {
    return range(0, n);
  }

  @OnTopic('make/ticks')
  ticks(@AbortSignal() signal: AbortSignal) {
    signal.addEventListener('abort', () => seen.aborted.push(signal.reason));
    return new Observable<number>(subscriber => {
      const subscription = interval(1).subscribe(subscriber);
      return () => {
        seen.unsubscribed++;
        subscription.unsubscribe();
      };
    });
  }

  @OnTopic('make/flood')
  flood() {
    return new Observable<string>(subscriber => {
      const timers = setInterval(() => {
        for (let i = 0; i < 20; i++) {
          seen.emitted++;
          subscriber.next('x'.repeat(10_000));
        }
      }, 1);
      return () => clearInterval(timers);
    });
  }

  @OnTopic('make/hanging')
  hanging() {
    return NEVER;
  }

  @OnTopic('make/stubborn')
  async *stubborn() {
    yield 1;
    await sleep(8_000);
    yield 2;
  }

  @OnTopic('make/socket')
  socket() {
    const readable = new Readable({ objectMode: true, read: () => undefined });
    readable.push('first');
    readable.on('close', () => seen.destroyed++);
    return readable;
  }

  @OnTopic('make/waiting')
  async waiting(@AbortSignal() signal: AbortSignal) {
    await new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        seen.aborted.push(signal.reason);
        reject(signal.reason as Error);
      });
    });
  }
}

const counted = (cluster: TestCluster, how: string): number => {
  const [gate] = cluster.gates;
  return gate?.app.get(GateCounters).get('streams_ended', how) ?? 0;
};

describe.each(LINKS)('streams over %s', name => {
  let supply: LinkSupply;
  let cluster: TestCluster;
  let client: FakeClient;

  beforeAll(async () => {
    supply = await LinkSupply.open(name);
    cluster = await createTestCluster({
      workers: name === 'memory' ? 0 : 1,
      handlers: { imports: [HandlersModule], controllers: [Producers] },
      gate: { messageRate: 0 },
      link: await supply.forCluster(1),
    });
  });
  beforeEach(async () => {
    Object.assign(seen, { unsubscribed: 0, returned: 0, destroyed: 0, aborted: [], emitted: 0 });
    client = await cluster.connect();
  });
  afterEach(async () => {
    await client.close();
    await waitUntil('no stream is left', () => load().streams === 0);
  });
  afterAll(async () => {
    await cluster.close();
    await supply.close();
  });

  const load = () => {
    const app = name === 'memory' ? cluster.gates[0]?.app : cluster.workers[0]?.app;
    if (!app) throw new Error('no app');
    return app.get(GateTransport).load();
  };

  it.each([
    ['make/observable', [1, 2, 3]],
    ['make/promised', ['a', 'b']],
    ['make/readable', ['x', { y: 1 }]],
    ['make/nothing', []],
    ['make/doubled', [2, 4, 6]],
    ['make/intercepted', [1, 2]],
  ])('%s: items in order, then the end', async (topic, items) => {
    expect(await client.stream(topic)).toEqual({ items, ended: true, error: undefined });
  });

  it('items of an Observable that come at once are all sent', async () => {
    const { items, ended } = await client.stream('make/burst');
    expect([items.length, items[999], ended]).toEqual([1_000, 999, true]);
    expect((await client.stream('make/piped', '3')).items).toEqual([0, 1, 2]);
    expect((await client.stream('make/piped', 'x')).error?.code).toBe('BAD_REQUEST');
  });

  it('many items of a generator are all sent, in order', async () => {
    const { items, ended } = await client.stream('stream/count', { n: 5_000 });
    expect(ended).toBe(true);
    expect(items).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
  });

  it('a handler that gives no stream is answered as ever', async () => {
    expect(await client.stream('make/value')).toEqual({ items: [{ only: 'one' }], ended: false, error: undefined });
  });

  it('bytes are base64', async () => {
    const id = client.beginStream('make/bytes');
    await client.streamed(id);
    expect(client.frames.find(frame => frame.id === id)).toEqual({ id, item: 'YWJj', encoding: 'base64' });
  });

  it('without `stream` the reply is the last value', async () => {
    expect(await client.request('stream/count', { n: 200 })).toBe(200);
    expect(await client.request('make/observable')).toBe(3);
    expect(await client.request('make/readable')).toEqual({ y: 1 });
    expect((await client.exchange('stream/fail', { after: 2 })).error?.code).toBe('STREAM_FAILED');
  });

  it.each([
    ['make/failing', undefined, [1], 'INTERNAL'],
    ['make/refused', undefined, [], 'NO'],
    ['make/filtered', undefined, [], 'OUT_OF_RANGE'],
    ['make/unsendable', undefined, [1], 'INTERNAL'],
    ['stream/fail', { after: 3 }, [1, 2, 3], 'STREAM_FAILED'],
    ['stream/nobody', undefined, [], 'NO_HANDLER'],
    ['nobody/at-all', undefined, [], 'NO_ROUTE'],
  ])('%s ends with an error, once', async (topic, body, items, code) => {
    const result = await client.stream(topic, body);
    expect([result.items, result.error?.code, result.ended]).toEqual([items, code, false]);
    await client.request('echo/echo');
    expect(client.frames.filter(frame => frame.id === 1 && !('item' in frame))).toHaveLength(1);
    if (topic === 'make/unsendable') expect(seen.returned).toBe(1);
  });

  it('one is cancelled by its client: the producer ends, and the id is free', async () => {
    const id = client.beginStream('make/ticks');
    await waitUntil('items', () => client.items(id).length > 3);
    client.cancel(id);
    expect((await client.streamed(id)).ended).toBe(true);
    await waitUntil('the producer has ended', () => seen.unsubscribed === 1);
    expect(seen.aborted).toMatchObject([{ code: 'CANCELLED' }]);
    const { length } = client.items(id);
    await client.request('echo/echo');
    expect(client.items(id)).toHaveLength(length);
    client.sendRaw(JSON.stringify({ topic: 'make/doubled', id, stream: true }));
    await waitUntil('items of the next one', () => client.items(id).length === length + 3);
  });

  it('a Readable that waits is destroyed when it is cancelled', async () => {
    const id = client.beginStream('make/socket');
    await waitUntil('an item', () => client.items(id).length === 1);
    client.cancel(id);
    await waitUntil('it is destroyed', () => seen.destroyed === 1);
  });

  it('producers end when their client is gone', async () => {
    const other = await cluster.connect();
    for (let i = 0; i < 5; i++) other.beginStream('make/ticks');
    other.beginStream('stream/count', { n: 1e9, everyMs: 1 });
    other.ask('make/waiting');
    await waitUntil('all run', () => load().streams === 6);
    await sleep(20);
    other.socket.terminate();
    await waitUntil('all have ended', () => load().streams === 0 && seen.unsubscribed === 5);
    expect(seen.aborted).toHaveLength(6);
  });

  it('streams do not hold up other requests, and run beside each other', async () => {
    const ids = Array.from({ length: 10 }, () => client.beginStream('make/ticks'));
    expect(await client.request('echo/echo', 'hi')).toBe('hi');
    await waitUntil('items of all', () => ids.every(id => client.items(id).length > 0));
    for (const id of ids) client.cancel(id);
    await Promise.all(ids.map(id => client.streamed(id)));
  });

  it('those that take all the credit of a client can still be cancelled', async () => {
    const ids = Array.from({ length: 20 }, () => client.beginStream('make/hanging'));
    const echo = client.ask('echo/echo', 'late');
    await waitUntil('all run', () => load().streams === 20);
    await sleep(20);
    expect(client.frames.some(frame => frame.id === echo)).toBe(false);
    client.cancel(ids[7] ?? 0);
    expect((await client.answer(echo)).body).toBe('late');
  });

  it('bad input is refused with a code, and harms nothing', async () => {
    client.sendRaw('{"topic":"make/doubled","stream":true}');
    client.sendRaw('{"topic":"make/doubled","stream":1,"id":70}');
    client.sendRaw('{"topic":"$gate/cancel","body":"x"}');
    client.sendRaw('{"answer":0}');
    client.sendRaw('{"answer":1,"error":"no"}');
    client.cancel(4_711);
    client.sendRaw('{"answer":4711,"body":1}');
    const id = client.beginStream('make/ticks');
    client.sendRaw(JSON.stringify({ topic: 'make/ticks', id, stream: true }));
    await waitUntil('items', () => client.items(id).length > 0);
    const codes = client.pushes('$gate/error').map(({ body }) => (body as { code: string }).code);
    expect(codes).toEqual(Array.from({ length: 5 }, () => 'BAD_FRAME'));
    expect(client.frames.find(frame => frame.error)).toMatchObject({ id, error: { code: 'DUPLICATE_ID' } });
    client.cancel(id);
    const counters = cluster.gates[0]?.app.get(GateCounters);
    await waitUntil('both are counted', () => counters?.get('frames_ignored', 'answer'));
    expect(counters?.get('frames_ignored', 'cancel')).toBeGreaterThan(0);
  });

  it('items of nearly 1 MB are sent one by one', async () => {
    const { items, ended } = await client.stream('stream/count', { n: 5, pad: 1_000_000 });
    expect([items.length, ended]).toEqual([5, true]);
    expect((await client.stream('stream/count', { n: 5, pad: 1_900_000 })).error?.code).toBe('INTERNAL');
  });

  it('a client that does not read holds up a generator, and ends an Observable', async () => {
    const other = await cluster.connect();
    other.socket.pause();
    const id = other.beginStream('stream/count', { n: 1e9, pad: 60_000 });
    await waitUntil('it has begun', async () => (await client.request<{ max: number }>('stream/produced')).max > 0);
    let before = -1;
    let max = 0;
    while (max !== before) {
      before = max;
      await sleep(300);
      ({ max } = await client.request<{ max: number }>('stream/produced'));
    }
    const [gate] = cluster.gates;
    const agent = [...(gate?.app.get(Delegater).sessions() ?? [])].find(each => each.pendingPacks > 0);
    expect(agent?.pendingBytes).toBeLessThan(1_000_000);
    other.socket.resume();
    await waitUntil(
      'it goes on',
      async () => (await client.request<{ max: number }>('stream/produced')).max > max + 100,
    );
    other.cancel(id);
    await other.streamed(id);
    other.socket.pause();
    const flood = other.beginStream('make/flood');
    await waitUntil('it has ended', () => load().streams === 0 && seen.emitted > 0);
    const { emitted } = seen;
    await sleep(50);
    expect(seen.emitted).toBe(emitted);
    other.socket.resume();
    expect((await other.streamed(flood)).error?.code).toBe('SLOW_CONSUMER');
    await other.close();
  });

  it('1,000 at once, and 3,000 that are begun and cancelled, leave nothing', async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => cluster.connect()));
    const ids = clients.map(each => Array.from({ length: 20 }, () => each.beginStream('stream/count', { n: 40 })));
    const all = await Promise.all(clients.flatMap((each, at) => (ids[at] ?? []).map(id => each.streamed(id))));
    expect(all.every(({ items, ended }) => items.length === 40 && ended)).toBe(true);
    const before = counted(cluster, 'cancel');
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        clients.map(async each => {
          const begun = Array.from({ length: 20 }, () => each.beginStream('make/ticks'));
          for (const id of begun) each.cancel(id);
          await Promise.all(begun.map(id => each.streamed(id)));
        }),
      );
    }
    expect(counted(cluster, 'cancel') - before).toBe(3_000);
    await waitUntil('none is left', () => load().streams === 0 && load().running === 0);
    for (const agent of cluster.gates[0]?.app.get(Delegater).sessions() ?? []) expect(agent.unansweredCount).toBe(0);
    await Promise.all(clients.map(each => each.close()));
  });
});
