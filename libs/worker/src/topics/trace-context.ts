import type { TraceSpan } from '@nestgate/protocol';

/** Runs a function as part of a trace. */
export type RunInTrace = <T>(span: TraceSpan, run: () => T) => T;

/**
 * Handlers run in the OpenTelemetry context of their client's trace when the application has set OpenTelemetry up; then the
 * spans they make belong to it. `undefined` when it has not, or has not installed it: nothing is paid for it then.
 */
export async function loadTraceContext(): Promise<RunInTrace | undefined> {
  try {
    const { context, createContextKey, ROOT_CONTEXT, trace } = await import('@opentelemetry/api');
    const probe = createContextKey('nestgate');
    // Without a context manager nobody could see the context.
    if (context.with(ROOT_CONTEXT.setValue(probe, true), () => context.active().getValue(probe)) !== true)
      return undefined;
    return (span, run) => context.with(trace.setSpanContext(context.active(), { ...span, isRemote: true }), run);
  } catch {
    return undefined;
  }
}
