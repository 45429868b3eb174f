import { messageOf } from '@nestgate/link/internal';
import { formatTraceParent, type TraceSpan } from '@nestgate/protocol';
import type { Context, Span, SpanKind as Kind } from '@opentelemetry/api';

/** Attributes of spans and figures. A type of our own: declarations must not name a package that may be missing. */
export type TelemetryAttributes = Readonly<Record<string, string | boolean>>;

/** What nestgate does with OpenTelemetry. */
export interface Telemetry {
  /** Runs as a span: a child of the one that is active. `end` is called once, when it is over. */
  run<T>(name: string, kind: 'consumer' | 'producer', attributes: TelemetryAttributes, run: (end: EndSpan) => T): T;
  /**
   * Begins the span of a client's frame: the first one of its trace, so that the application's sampler decides, and linked to the trace of the
   * connection.
   */
  frame(name: string, attributes: TelemetryAttributes, connection: TraceSpan | undefined): FrameSpan;
  /** Has figures read each time that metrics are collected. */
  observe(figures: readonly ObservedFigure[]): void;
  /** Records how long a handler took. */
  recordHandler(seconds: number, attributes: TelemetryAttributes): void;
}

/** The span of a frame. */
export interface FrameSpan {
  /** As `traceparent`. */
  readonly trace: string;
  readonly end: EndSpan;
}

/** A figure that is read when metrics are collected. */
export interface ObservedFigure {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  /** A `counter` only grows. */
  readonly kind: 'counter' | 'gauge';
  /** The values by label; one value has the label `''`. */
  readonly read: () => Readonly<Record<string, number>>;
  /** The attribute that the labels are of. */
  readonly label?: string;
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
  const meter = metrics.getMeter('nestgate');
  const durations = meter.createHistogram('nestgate.handler.duration', {
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
    frame(name, attributes, connection) {
      const links = connection && [{ context: { ...connection, isRemote: true } }];
      const options = { kind: SpanKind.SERVER, attributes, root: true, ...(links && { links }) };
      const span = tracer.startSpan(name, options);
      return { trace: formatTraceParent(span.spanContext()), end: endOf(span) };
    },
    observe(figures) {
      for (const { name, unit, description, kind, read, label } of figures) {
        const options = { unit, description };
        const figure =
          kind === 'counter'
            ? meter.createObservableCounter(name, options)
            : meter.createObservableGauge(name, options);
        figure.addCallback(result => {
          for (const [value, count] of Object.entries(read())) result.observe(count, label ? { [label]: value } : {});
        });
      }
    },
    recordHandler: (seconds, attributes) => durations.record(seconds, attributes),
  };
}
