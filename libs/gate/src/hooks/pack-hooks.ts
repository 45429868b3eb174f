import { Injectable } from '@nestjs/common';
import type { Session } from '@nestgate/worker';

/** A message from a client, before it is routed. */
export interface IncomingPack {
  readonly topic: string;
  /** The request id; 0 for a message without a reply. */
  readonly id: number;
  /** The body: the JSON value of a json client, the bytes of another one. */
  readonly body: unknown;
  /** Forwards the message to the `RouteHandler` and then to a worker. */
  forward(): void;
  /** Answers the message instead. A second answer is ignored. */
  reply(body?: unknown): void;
}

/**
 * Called for each message before it is routed. The client's next message waits until it has settled. An exception, or exceeding
 * `requestTimeout`, results in a coded error for that client; neither closes the connection.
 */
export abstract class RouteHandler {
  /** True when the message is done: it is not routed, and a request is answered with `null`. */
  abstract onRoute(session: Session, topic: string, body: unknown): boolean | Promise<boolean>;
}

/** The default: routes every message. */
@Injectable()
export class OpenRouteHandler extends RouteHandler {
  override onRoute(): boolean {
    return false;
  }
}

/**
 * Called for each push and each recipient before it is sent, not for replies. Without a replacement a push is encoded once for
 * all recipients.
 */
export abstract class SendMessageHook {
  /**
   * Returns the body to send: the given one, which is frozen because all recipients share it, or another. An exception drops
   * the push for this client. Later messages to this client wait for a returned promise, at most `requestTimeout`.
   */
  abstract onSend(session: Session, topic: string, body: unknown): unknown;
}

/** The default: sends every push unchanged. */
@Injectable()
export class OpenSendMessageHook extends SendMessageHook {
  override onSend(_session: Session, _topic: string, body: unknown): unknown {
    return body;
  }
}

/**
 * Receives every message of every client. The client's next message waits until it has settled. A request that it neither
 * forwards nor answers is answered with `null`. An exception, or exceeding `requestTimeout`, results in a coded error for that
 * client.
 */
export abstract class RecvPackHandler {
  abstract onPack(session: Session, pack: IncomingPack): void | Promise<void>;
}

/** The default: forwards every message. */
@Injectable()
export class ForwardingRecvPackHandler extends RecvPackHandler {
  override onPack(_session: Session, pack: IncomingPack): void {
    pack.forward();
  }
}
