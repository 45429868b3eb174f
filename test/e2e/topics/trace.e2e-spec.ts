import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { Controller } from '@nestjs/common';
import { type Context, context, ROOT_CONTEXT, trace } from '@opentelemetry/api';

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

@Controller()
class TraceTopics {
  @OnTopic('trace/get')
  async get(@ClientSession() session: Session) {
    await Promise.resolve();
    return { session: session.traceSpan, active: trace.getSpanContext(context.active()) };
  }
}

/** What an OpenTelemetry SDK brings, as far as contexts go. */
function installContextManager(): void {
  const storage = new AsyncLocalStorage<Context>();
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
}

describe('the trace of a connection', () => {
  let cluster: TestCluster;

  beforeAll(installContextManager);
  afterEach(() => cluster.close());

  it.each([0, 1])('comes from the handshake, and is the context of its handlers (%d workers)', async workers => {
    cluster = await createTestCluster({ workers, handlers: { controllers: [TraceTopics] } });
    const client = await cluster.connect({ headers: { traceparent: PARENT } });
    const span = { traceId: PARENT.slice(3, 35), spanId: PARENT.slice(36, 52), traceFlags: 1 };
    expect(await client.request('trace/get')).toEqual({ session: span, active: { ...span, isRemote: true } });
  });

  it.each([undefined, 'nonsense'])('is made when the handshake brings %s, and stays the same', async traceparent => {
    cluster = await createTestCluster({ handlers: { controllers: [TraceTopics] } });
    const headers: Record<string, string> = traceparent === undefined ? {} : { traceparent };
    const [one, other] = [await cluster.connect({ headers }), await cluster.connect({ headers })];
    const first = await one.request<{ session: { traceId: string } }>('trace/get');
    expect(first.session.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(await one.request('trace/get')).toEqual(first);
    expect((await other.request<typeof first>('trace/get')).session.traceId).not.toBe(first.session.traceId);
  });
});
