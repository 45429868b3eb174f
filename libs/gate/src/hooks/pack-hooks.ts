import { Injectable } from '@nestjs/common';
import type { Session } from '@nestgate/worker';

/** A client's message on its way to a worker. */
export interface IncomingPack {
  readonly topic: string;
  /** The request id; 0 when the client wants no reply. */
  readonly id: number;
  /** The body: the JSON value of a json client, the bytes of another one. */
  readonly body: unknown;
  /** Lets the message go its usual way, to the `RouteHandler` and on to a worker. */
  forward(): void;
  /** Answers the message instead. A second answer is ignored. */
  reply(body?: unknown): void;
}

/**
 * Looks at messages before they are routed. Until it is done, the client's next message waits. An error becomes a coded
 * error to that client, and so does taking longer than `requestTimeout`; neither closes the connection.
 */
export abstract class RouteHandler {
  /** True when the message is dealt with: then it goes nowhere, and a request is answered with `null`. */
  abstract onRoute(session: Session, topic: string, body: unknown): boolean | Promise<boolean>;
}

/** The default: everything goes on. */
@Injectable()
export class OpenRouteHandler extends RouteHandler {
  override onRoute(): boolean {
    return false;
  }
}

/**
 * Looks at pushes before they are sent, once for each client that they go to. While it is not replaced, a push to many is
 * encoded once for all of them. Replies do not pass here.
 */
export abstract class SendMessageHook {
  /**
   * Returns the body to send: the given one, which is frozen because all receivers share it, or another. Throwing refuses
   * the push for this client. With a promise, later messages to this client wait for it, `requestTimeout` at most.
   */
  abstract onSend(session: Session, topic: string, body: unknown): unknown;
}

/** The default: everything is sent as it is. */
@Injectable()
export class OpenSendMessageHook extends SendMessageHook {
  override onSend(_session: Session, _topic: string, body: unknown): unknown {
    return body;
  }
}

/**
 * Takes every message of every client. Until it is done, the client's next message waits. A request that it neither
 * forwards nor answers is answered with `null`; an error, or taking longer than `requestTimeout`, becomes a coded error to
 * that client.
 */
export abstract class RecvPackHandler {
  abstract onPack(session: Session, pack: IncomingPack): void | Promise<void>;
}

/** The default: every message goes its usual way. */
@Injectable()
export class ForwardingRecvPackHandler extends RecvPackHandler {
  override onPack(_session: Session, pack: IncomingPack): void {
    pack.forward();
  }
}
