import { BaseRpcContext } from '@nestjs/microservices';
import type { ClientId } from '@nestgate/link';
import type { Session } from '../session/session.js';
import type { ClientLane } from './client-lane.js';

const NO_ARGS: [] = [];

/** What a handler, guard or interceptor can know of the frame at hand: `@Ctx()`, or `switchToRpc().getContext()`. */
export class TopicContext extends BaseRpcContext<[]> {
  private copy: Session | undefined;

  constructor(
    /** The topic of the frame. */
    readonly topic: string,
    /** Whether what the handler returns reaches the client: true when it asked with an id, and always for pack clients. */
    readonly wantsReply: boolean,
    private readonly lane: ClientLane,
  ) {
    super(NO_ARGS);
  }

  /** The client's session: one copy for this frame, shared by all who ask this context for it. */
  get session(): Session {
    return (this.copy ??= this.lane.createSession());
  }

  get clientId(): ClientId {
    return this.lane.clientId;
  }
}
