import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { GatewayApi, HandlerObservers, OnTopic } from '@nestgate/worker';
import {
  type Attributes,
  type Context,
  context,
  type Meter,
  metrics,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import { of, throwError } from 'rxjs';

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

interface RecordedSpan {
  readonly name: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly traceId: string;
  readonly attributes: Attributes | undefined;
  status?: number;
  exception?: string;
  ended: number;
}

/** What an SDK of OpenTelemetry does, as far as nestgate uses it. */
class FakeSdk {
  readonly spans: RecordedSpan[] = [];
  readonly records: { value: number; attributes: Attributes | undefined }[] = [];
  private readonly storage = new AsyncLocalStorage<Context>();
  private lastId = 0;

  register(): void {
    const { storage } = this;
    context.setGlobalContextManager({
      active: () => storage.getStore() ?? ROOT_CONTEXT,
      with: (active, run, thisArg, ...args) => storage.run(active, () => run.call(thisArg as never, ...args)),
      bind: (_active, target) => target,
      enable() {
        return this;
      },
      disable() {
        return this;
      },
    });
    trace.setGlobalTracerProvider({ getTracer: () => this.tracer() });
    const meter = {
      createHistogram: () => ({
        record: (value: number, attributes?: Attributes) => this.records.push({ value, attributes }),
      }),
    };
    metrics.setGlobalMeterProvider({ getMeter: () => meter as unknown as Meter });
  }

  unregister(): void {
    trace.disable();
    context.disable();
    metrics.disable();
  }

  private tracer(): Tracer {
    const startSpan = (name: string, options?: SpanOptions, active: Context = context.active()): Span => {
      const parent = options?.root === true ? undefined : trace.getSpanContext(active);
      const id = String(++this.lastId).padStart(16, '0');
      const traceId = parent?.traceId ?? 'f'.repeat(32);
      const span: RecordedSpan = {
        name,
        id,
        parent: parent?.spanId,
        traceId,
        attributes: options?.attributes,
        ended: 0,
      };
      this.spans.push(span);
      const spanContext: SpanContext = { traceId, spanId: id, traceFlags: 1 };
      return {
        spanContext: () => spanContext,
        setStatus: ({ code }: { code: number }) => void (span.status = code),
        recordException: (error: Error) => void (span.exception = error.message),
        end: () => void span.ended++,
      } as unknown as Span;
    };
    return { startSpan } as Tracer;
  }
}

@Controller()
class TelemetryTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('work/push')
  async push(@Payload() group: string): Promise<string> {
    await Promise.resolve();
    await this.gateway.sendToGroup(group, 'work/done');
    return 'ok';
  }

  @OnTopic('work/plain')
  plain(): number {
    return 1;
  }

  @OnTopic('work/stream')
  stream(): unknown {
    return of(1, 2);
  }

  @OnTopic('work/throw')
  throw(): never {
    throw new Error('no');
  }

  @OnTopic('work/broken')
  broken(): unknown {
    return throwError(() => new Error('broken'));
  }
}

describe('telemetry', () => {
  let cluster: TestCluster;
  afterEach(() => cluster.close());
  const start = (): Promise<TestCluster> =>
    createTestCluster({ handlers: { controllers: [TelemetryTopics] }, logger: false });

  describe('with OpenTelemetry', () => {
    let sdk: FakeSdk;
    beforeAll(() => trace.disable());
    beforeEach(async () => {
      sdk = new FakeSdk();
      sdk.register();
      cluster = await start();
    });
    afterEach(() => sdk.unregister());
    afterAll(() => trace.disable());

    it('has a span for each handler, and one in it for each push, in the trace of the client', async () => {
      const client = await cluster.connect({ headers: { traceparent: PARENT } });
      expect(await client.request('work/push', 'room')).toBe('ok');
      const named = (name: string) => sdk.spans.find(span => span.name === name);
      const handler = named('work/push process');
      const push = named('work/done publish');
      expect(handler).toMatchObject({ traceId: PARENT.slice(3, 35), parent: PARENT.slice(36, 52), ended: 1 });
      expect(push).toMatchObject({
        traceId: PARENT.slice(3, 35),
        parent: handler?.id,
        ended: 1,
        attributes: { 'messaging.destination.name': 'work/done', 'nestgate.method': 'sendToGroup' },
      });
      expect(sdk.records).toEqual([
        { value: expect.any(Number), attributes: { 'messaging.destination.name': 'work/push', error: false } },
      ]);
    });

    it('ends each span once, with the error if there is one', async () => {
      const client = await cluster.connect();
      for (const topic of ['plain', 'stream', 'throw', 'broken']) await client.exchange(`work/${topic}`);
      const handlers = sdk.spans.filter(({ name }) => name.endsWith('process'));
      expect(handlers.map(({ name, ended, exception, status }) => [name, ended, exception, status])).toEqual([
        ['work/plain process', 1, undefined, undefined],
        ['work/stream process', 1, undefined, undefined],
        ['work/throw process', 1, 'no', 2],
        ['work/broken process', 1, 'broken', 2],
      ]);
      expect(sdk.records.map(({ attributes }) => attributes?.['error'])).toEqual([false, false, true, true]);
    });
  });

  it('leaves handlers and pushes as they are without an SDK and without observers', async () => {
    cluster = await start();
    const { app, api } = cluster.gate;
    const handler = { call: (): unknown => 1 };
    const { call } = handler;
    await app.get(HandlerObservers).wrap(new Map([['a/b', handler]]));
    expect(handler.call).toBe(call);
    expect(Object.hasOwn(api, 'sendToGroup')).toBe(false);
  });

  it('tells observers how long each handler took', async () => {
    const seen: [topic: string, seconds: number, hasFailed: boolean][] = [];
    cluster = await createTestCluster({
      handlers: { controllers: [TelemetryTopics] },
      setup: app =>
        app.get(HandlerObservers).add(topic => (seconds, hasFailed) => void seen.push([topic, seconds, hasFailed])),
    });
    const client = await cluster.connect();
    for (const topic of ['push', 'plain', 'throw']) await client.exchange(`work/${topic}`, 'room');
    await waitUntil('all of them', () => seen.length === 3);
    expect(seen.map(([topic, , hasFailed]) => [topic, hasFailed])).toEqual([
      ['work/push', false],
      ['work/plain', false],
      ['work/throw', true],
    ]);
    expect(seen.every(([, seconds]) => seconds >= 0 && seconds < 10)).toBe(true);
  });
});
