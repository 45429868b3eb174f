import { BaseRpcContext } from '@nestjs/microservices';
import type { ClientId } from '@nestgate/link';
import type { Session } from '../session/session.js';
import type { ClientLane } from './run/client-lane.js';

const NO_ARGS: [] = [];

/** Context of the current frame for handlers, guards and interceptors: `@Ctx()`, or `switchToRpc().getContext()`. */
export class TopicContext extends BaseRpcContext<[]> {
  private copy: Session | undefined;
  private controller: AbortController | undefined = undefined;
  private reason: unknown = undefined;
  private isOfLane = true;

  constructor(
    /** The topic of the frame. */
    readonly topic: string,
    /** Whether the result of the handler is sent to the client: true for a request with an id, and always for pack clients. */
    readonly wantsReply: boolean,
    private readonly lane: ClientLane,
  ) {
    super(NO_ARGS);
  }

  /** The session of the client: one copy per frame, shared by all users of this context. */
  get session(): Session {
    return (this.copy ??= this.lane.createSession());
  }

  get clientId(): ClientId {
    return this.lane.clientId;
  }

  /** Aborted when nobody waits for the result any more: see `@AbortSignal()`. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason !== undefined) this.controller.abort(this.reason);
      else if (this.isOfLane) this.lane.watch(this);
    }
    return this.controller.signal;
  }

  /** The client has come to another gate: that it is gone from this one says nothing. @internal */
  leaveLane(): void {
    this.isOfLane = false;
    this.lane.signals?.delete(this);
  }

  /** @internal */
  abort(reason: unknown): void {
    this.reason ??= reason;
    this.controller?.abort(reason);
  }
}
