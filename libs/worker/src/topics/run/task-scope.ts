import { parseTraceParent } from '@nestgate/protocol';
import type { TopicHandler } from '../handler/topic-handler.js';
import type { TopicContext } from '../topic-context.js';
import type { RunInTrace } from '../trace-context.js';
import type { CurrentClient } from './current-client.js';
import type { TopicTask } from './topic-task.js';

/** Where code of the application runs for a task: in its async scope, with its trace, and with its client as the current one. */
export class TaskScope {
  constructor(
    private readonly runInTrace?: RunInTrace,
    private readonly currentClient?: CurrentClient,
  ) {}

  /** Calls the handler of a task, and returns its result. */
  call(task: TopicTask, payload: unknown, context: TopicContext): unknown {
    const { handler } = task;
    return this.runInTrace
      ? this.run(task, () => handler.call(payload, context))
      : task.runInAsyncScope(callHandler, undefined, this.currentClient, handler, payload, context);
  }

  /** Runs anything else that belongs to a task. */
  run<T>(task: TopicTask, run: () => T): T {
    const { runInTrace, currentClient } = this;
    const span = runInTrace && (parseTraceParent(task.message.trace) ?? task.lane.traceSpan);
    return task.runInAsyncScope(() => {
      if (task.context) currentClient?.enter(task.context);
      return runInTrace && span ? runInTrace(span, run) : run();
    });
  }
}

/** No closure, and no reference to a method without its object, for each frame. */
function callHandler(
  current: CurrentClient | undefined,
  handler: TopicHandler,
  payload: unknown,
  context: TopicContext,
): unknown {
  current?.enter(context);
  return handler.call(payload, context);
}
