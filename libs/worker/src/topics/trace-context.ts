import type { TraceSpan } from '@nestgate/protocol';

/** Runs a function as part of a trace. */
export type RunInTrace = <T>(span: TraceSpan, run: () => T) => T;

/**
 * Handlers run in the OpenTelemetry context of their client's trace when the application has `@opentelemetry/api`; then
 * the spans they make belong to it. `undefined` when it is not installed: nothing is paid for it then.
 */
export async function loadTraceContext(): Promise<RunInTrace | undefined> {
  try {
    const { context, trace } = await import('@opentelemetry/api');
    return (span, run) => context.with(trace.setSpanContext(context.active(), { ...span, isRemote: true }), run);
  } catch {
    return undefined;
  }
}
