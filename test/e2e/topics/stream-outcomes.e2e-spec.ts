import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  type CallHandler,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { Delegater, type IncomingPack, RecvPackHandler } from '@nestgate/gate';
import { MemoryBus } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { AbortSignal, GateTransport, OnTopic, type Session, WorkerModule } from '@nestgate/worker';
import { catchError, concat, finalize, of, tap, throwError } from 'rxjs';

const REQUEST_MS = 400;
/** What enhancers and handlers have seen. */
const seen: unknown[] = [];

@Catch(RangeError)
class RangeFilter implements ExceptionFilter {
  catch({ message }: RangeError, _host: ArgumentsHost) {
    seen.push(`filter ${message}`);
    return throwError(() => ({ code: 'OUT_OF_RANGE', message }));
  }
}

@Injectable()
class Watching implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>) {
    return next.handle().pipe(
      tap(value => seen.push(typeof value === 'number' ? value : 'iterable')),
      finalize(() => seen.push('finalized')),
    );
  }
}

@Injectable()
class Healing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>) {
    return next.handle().pipe(catchError(() => of('healed')));
  }
}

const failing = () =>
  concat(
    of(1, 2),
    throwError(() => new RangeError('too far')),
  );

@Controller()
class Outcomes {
  @OnTopic('out/filtered')
  @UseFilters(RangeFilter)
  @UseInterceptors(Watching)
  filtered() {
    return failing();
  }

  @OnTopic('out/healed')
  @UseInterceptors(Healing)
  healed() {
    return failing();
  }

  @OnTopic('out/iterable')
  @UseFilters(RangeFilter)
  @UseInterceptors(Watching)
  async *iterable() {
    yield 1;
    throw new RpcException({ code: 'LATE', message: 'after the first item' });
  }

  @OnTopic('out/masked')
  async *masked() {
    yield 1;
    throw new Error('secret');
  }

  /** Waits so long before each item. */
  @OnTopic('out/paced')
  async *paced(@Payload() pauses: readonly number[], @AbortSignal() signal: AbortSignal) {
    signal.addEventListener('abort', () => seen.push((signal.reason as { code: string }).code));
    for (const [at, ms] of pauses.entries()) {
      await delay(ms, undefined, { signal });
      yield at + 1;
    }
  }
}

class Intake extends RecvPackHandler {
  async onPack(_session: Session, pack: IncomingPack): Promise<void> {
    await Promise.resolve();
    if (pack.topic === 'hook/reply') pack.reply('from the hook');
    else if (pack.topic === 'hook/throws') throw new RpcException({ code: 'NOT_TODAY', message: 'no' });
    else pack.forward();
  }
}

describe('the outcomes of a stream', () => {
  const bus = new MemoryBus();
  let cluster: TestCluster;
  let client: FakeClient;

  beforeAll(async () => {
    cluster = await createTestCluster({
      workers: 1,
      handlers: { controllers: [Outcomes] },
      gate: {
        requestTimeout: REQUEST_MS,
        workerWait: 5_000,
        messageRate: 0,
        providers: [{ provide: RecvPackHandler, useClass: Intake }],
      },
      link: () => bus.link(),
    });
  });
  beforeEach(async () => {
    seen.length = 0;
    client = await cluster.connect();
  });
  afterEach(() => client.close());
  afterAll(() => cluster.close());

  it('filters and interceptors see what comes of an Observable behind its items', async () => {
    const { items, error, ended } = await client.stream('out/filtered');
    expect([items, error, ended]).toEqual([[1, 2], { code: 'OUT_OF_RANGE', message: 'too far' }, false]);
    expect(seen).toEqual([1, 2, 'filter too far', 'finalized']);
    expect(await client.stream('out/healed')).toEqual({ items: [1, 2, 'healed'], ended: true, error: undefined });
  });

  it('an AsyncIterable is one value to them, and its errors are told by their code', async () => {
    const { items, error } = await client.stream('out/iterable');
    expect([items, error?.code, seen]).toEqual([[1], 'LATE', ['iterable', 'finalized']]);
    const masked = await client.stream('out/masked');
    expect([masked.items, masked.error]).toEqual([[1], { code: 'INTERNAL', message: 'Internal server error' }]);
  });

  it('`requestTimeout` is the time between two items, and not that of the whole', async () => {
    const pauses = [100, 200, 200, 100, 200];
    expect((await client.stream('out/paced', pauses)).items).toEqual([1, 2, 3, 4, 5]);
    const asked = performance.now();
    const { items, error } = await client.stream('out/paced', [50, 50, 10_000]);
    expect([items, error?.code]).toEqual([[1, 2], 'TIMEOUT']);
    expect(performance.now() - asked).toBeGreaterThan(REQUEST_MS);
    await waitUntil('the handler hears', () => seen.length > 0);
    expect(seen).toEqual(['CANCELLED']);
  });

  it('a RecvPackHandler passes a stream on, answers it, or refuses it', async () => {
    expect((await client.stream('out/paced', [0, 0])).items).toEqual([1, 2]);
    expect(await client.stream('hook/reply')).toMatchObject({ items: ['from the hook'], ended: false });
    expect((await client.stream('hook/throws')).error?.code).toBe('NOT_TODAY');
    const [agent] = [...(cluster.gates[0]?.app.get(Delegater).sessions() ?? [])];
    expect(agent?.unansweredCount).toBe(0);
  });

  it('one waits for a worker, and can be cancelled once it has begun', async () => {
    await cluster.workers[0]?.app.close();
    const id = client.beginStream('out/paced', [0, 50, 50, 50]);
    await delay(100);
    expect(client.frames.some(frame => frame.id === id)).toBe(false);
    const module = await Test.createTestingModule({
      imports: [WorkerModule.forRoot({ link: bus.link() })],
      controllers: [Outcomes],
    }).compile();
    const other = module.createNestMicroservice({ strategy: module.get(GateTransport), logger: false });
    await other.listen();
    try {
      const { items, ended } = await client.streamed(id);
      expect([items, ended]).toEqual([[1, 2, 3, 4], true]);
      const second = client.beginStream('out/paced', [0, 300]);
      await waitUntil('an item', () => client.items(second).length === 1);
      client.cancel(second);
      expect((await client.streamed(second)).ended).toBe(true);
      await waitUntil('no stream is left', () => other.get(GateTransport).load().streams === 0);
    } finally {
      await other.close();
    }
  });
});
