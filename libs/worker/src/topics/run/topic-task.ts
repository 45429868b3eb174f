import { AsyncResource, executionAsyncId } from 'node:async_hooks';
import type { ClientMessage, Deadline, IncomingCall } from '@nestgate/link/internal';
import type { ClientLane } from './client-lane.js';
import type { StreamOutlet } from '../stream/stream-outlet.js';
import type { TopicContext } from '../topic-context.js';
import type { TopicHandler } from '../handler/topic-handler.js';

/** Who goes on when a task's time is over. */
export interface TaskOwner {
  abandon(task: TopicTask): void;
}

/**
 * One frame of a client on its way through its handler.
 *
 * It is the async context of everything that the application does for this frame, and a deadline: one object for all three, as each
 * costs for each frame. The context is made where the frame has come in, and not where it is started, which may be in the
 * context of another frame: a store that a handler enters with `AsyncLocalStorage.enterWith` must be seen by nothing else.
 */
export class TopicTask extends AsyncResource implements Deadline {
  deadline = 0;
  wheelPrev: Deadline | undefined = undefined;
  wheelNext: Deadline | undefined = undefined;
  wheelSlot = -1;
  /** True once it has ended, so that nothing ends it again. */
  done = false;
  /** The context that its handler receives, once it has started. */
  context: TopicContext | undefined = undefined;
  /** What the handler's result comes from, when it is a stream. */
  stream: { unsubscribe(): void } | undefined = undefined;

  constructor(
    private readonly owner: TaskOwner,
    readonly lane: ClientLane<TopicTask>,
    readonly handler: TopicHandler,
    readonly message: ClientMessage,
    /** Who is answered: the gate of the client. */
    public call: IncomingCall,
    /** Where the items go, when the client wants a stream. */
    readonly outlet: StreamOutlet | undefined,
  ) {
    // The trigger is the default one, which Node takes longer to find.
    super('GateFrame', executionAsyncId());
  }

  /** The gate has told the client already; what is left is to let its next frame go on. */
  expire(): void {
    this.owner.abandon(this);
  }
}
