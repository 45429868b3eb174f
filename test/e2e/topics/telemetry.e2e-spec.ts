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
import { TopicRouter } from '../../../libs/gate/src/routing/topic-router.js';

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

interface RecordedSpan {
  readonly name: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly traceId: string;
  readonly attributes: Attributes | undefined;
  readonly links: readonly string[];
  status?: number;
  exception?: string;
  ended: number;
}

interface Observing {
  readonly name: string;
  readonly callback: (result: { observe(value: number, attributes?: Attributes): void }) => void;
}

/** What an SDK of OpenTelemetry does, as far as nestgate uses it. */
class FakeSdk {
  readonly spans: RecordedSpan[] = [];
  readonly records: { value: number; attributes: Attributes | undefined }[] = [];
  private readonly storage = new AsyncLocalStorage<Context>();
  private readonly observables: Observing[] = [];
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
      createObservableCounter: (name: string) => this.observable(name),
      createObservableGauge: (name: string) => this.observable(name),
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

  /** Reads all observed figures, as an exporter does. */
  collect(): Record<string, number> {
    const values: Record<string, number> = {};
    for (const { name, callback } of this.observables) {
      callback({
        observe: (value: number, attributes: Attributes = {}) => {
          values[[name, ...Object.values(attributes)].join(' ')] = value;
        },
      });
    }
    return values;
  }

  private observable(name: string): object {
    return { addCallback: (callback: Observing['callback']) => this.observables.push({ name, callback }) };
  }

  private tracer(): Tracer {
    const startSpan = (name: string, options?: SpanOptions, active: Context = context.active()): Span => {
      const parent = options?.root === true ? undefined : trace.getSpanContext(active);
      const id = String(++this.lastId).padStart(16, '0');
      const traceId = parent?.traceId ?? id.padStart(32, 'f');
      const span: RecordedSpan = {
        name,
        id,
        parent: parent?.spanId,
        traceId,
        attributes: options?.attributes,
        links: (options?.links ?? []).map(link => `${link.context.traceId}-${link.context.spanId}`),
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

    it('has a span for each frame, linked to its connection, in it one for its handler, and in that one for each push', async () => {
      const client = await cluster.connect({ headers: { traceparent: PARENT } });
      expect(await client.request('work/push', 'room')).toBe('ok');
      const named = (name: string) => sdk.spans.find(span => span.name === name);
      const frame = named('work/push receive');
      const handler = named('work/push process');
      const push = named('work/done publish');
      expect(frame).toMatchObject({
        parent: undefined,
        links: [PARENT.slice(3, 52)],
        ended: 1,
        attributes: { 'messaging.destination.name': 'work/push', 'nestgate.client_id': client.clientId },
      });
      expect(handler).toMatchObject({ traceId: frame?.traceId, parent: frame?.id, ended: 1 });
      expect(push).toMatchObject({
        traceId: frame?.traceId,
        parent: handler?.id,
        ended: 1,
        attributes: { 'messaging.destination.name': 'work/done', 'nestgate.method': 'sendToGroup' },
      });
      expect(sdk.records).toEqual([
        { value: expect.any(Number), attributes: { 'messaging.destination.name': 'work/push', error: false } },
      ]);
    });

    it('has a trace for each frame, which ends with its error, and none for heartbeats', async () => {
      const client = await cluster.connect();
      for (const topic of ['work/plain', 'work/throw', 'work/nobody']) await client.exchange(topic);
      await client.exchange('no/route');
      const frames = sdk.spans.filter(({ name }) => name.endsWith('receive'));
      expect(frames.map(({ name, ended, status, exception }) => [name, ended, status, exception])).toEqual([
        ['work/plain receive', 1, undefined, undefined],
        ['work/throw receive', 1, 2, expect.any(String)],
        ['work/nobody receive', 1, 2, expect.any(String)],
      ]);
      expect(new Set(frames.map(({ traceId }) => traceId)).size).toBe(3);
    });

    it('tells the meter the figures of the gate', async () => {
      const client = await cluster.connect();
      await client.exchange('work/plain');
      await client.exchange('no/route');
      expect(sdk.collect()).toEqual({
        'nestgate.connections': 1,
        'nestgate.frames.received': 2,
        'nestgate.frames.handled': 1,
        'nestgate.frames.refused NO_ROUTE': 1,
        'nestgate.packs.queued': expect.any(Number),
      });
    });

    it('keeps the trace of a connection for handlers of a gate without OpenTelemetry', async () => {
      cluster.gate.app.get(TopicRouter, { strict: false }).trace = undefined;
      const client = await cluster.connect({ headers: { traceparent: PARENT } });
      await client.request('work/plain');
      const handler = sdk.spans.find(({ name }) => name === 'work/plain process');
      expect(handler).toMatchObject({ traceId: PARENT.slice(3, 35), parent: PARENT.slice(36, 52), ended: 1 });
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
    expect(app.get(TopicRouter, { strict: false }).trace).toBeUndefined();
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
