import { messageOf } from '@nestgate/link/internal';
import type { Attributes, Context, Span, SpanKind as Kind } from '@opentelemetry/api';

/** What nestgate does with OpenTelemetry. */
export interface Telemetry {
  /** Runs as a span: a child of the one that is active. `end` is called once, when it is over. */
  run<T>(name: string, kind: 'consumer' | 'producer', attributes: Attributes, run: (end: EndSpan) => T): T;
  /** Records how long a handler took. */
  recordHandler(seconds: number, attributes: Attributes): void;
}

/** Ends a span; with what was thrown, if anything was. */
export type EndSpan = (error?: unknown) => void;

/** A span context without a trace, which tracers without an SDK give. */
const NO_TRACE = '00000000000000000000000000000000';

/**
 * OpenTelemetry, when the application has set it up: `@opentelemetry/api` is installed, and an SDK is registered. `undefined` when it is not:
 * nothing is paid for it then.
 */
export async function loadTelemetry(): Promise<Telemetry | undefined> {
  let api: typeof import('@opentelemetry/api');
  try {
    api = await import('@opentelemetry/api');
  } catch {
    return undefined;
  }
  const { context, metrics, SpanKind, SpanStatusCode, trace } = api;
  const tracer = trace.getTracer('nestgate');
  // Never ended, so that it is not exported.
  if (tracer.startSpan('nestgate', { root: true }).spanContext().traceId === NO_TRACE) return undefined;
  const durations = metrics.getMeter('nestgate').createHistogram('nestgate.handler.duration', {
    unit: 's',
    description: 'How long handlers of topics take.',
  });
  const kinds: Readonly<Record<'consumer' | 'producer', Kind>> = {
    consumer: SpanKind.CONSUMER,
    producer: SpanKind.PRODUCER,
  };
  const endOf = (span: Span): EndSpan => {
    return error => {
      if (error !== undefined) {
        span.recordException(error instanceof Error ? error : new Error(messageOf(error)));
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end();
    };
  };
  return {
    run(name, kind, attributes, run) {
      const active: Context = context.active();
      const span = tracer.startSpan(name, { kind: kinds[kind], attributes }, active);
      return context.with(trace.setSpan(active, span), () => run(endOf(span)));
    },
    recordHandler: (seconds, attributes) => durations.record(seconds, attributes),
  };
}
