import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { inAsyncScope, SocketFastPath } from '@nestgate/link/internal';
import { type Body, BodyKind, type ErrorBody, NO_BODY } from '@nestgate/protocol';
import { Session } from '@nestgate/worker';
import { BoundedLog, clientErrorBody, encodeBody, sendableError } from '@nestgate/worker/internal';
import { bodyValue } from '../body-value.js';
import type { ClientAgent } from '../client/client-agent.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { HookTimeout } from '../hooks/hook-timeout.js';
import {
  ForwardingRecvPackHandler,
  type IncomingPack,
  OpenRouteHandler,
  RecvPackHandler,
  RouteHandler,
} from '../hooks/pack-hooks.js';
import { TopicRouter } from './topic-router.js';

/**
 * Passes frames of clients through the hooks of the application to the router. Without hooks it calls the router directly.
 */
@Injectable()
export class PackIntake implements OnApplicationShutdown {
  private readonly log = new BoundedLog(PackIntake.name);
  private readonly hookTimeout: HookTimeout;
  private readonly hasRecvHook: boolean;
  private readonly hasRouteHook: boolean;

  constructor(
    private readonly router: TopicRouter,
    private readonly recvPackHandler: RecvPackHandler,
    private readonly routeHandler: RouteHandler,
    @Inject(RESOLVED_GATE_OPTIONS) { requestTimeout }: ResolvedGateOptions,
    private readonly fastPath: SocketFastPath,
    node: LinkNode,
  ) {
    this.hookTimeout = new HookTimeout(
      requestTimeout,
      this.log,
      'RecvPackHandler or RouteHandler',
      node.defects.report,
    );
    this.hasRecvHook = !(recvPackHandler instanceof ForwardingRecvPackHandler);
    this.hasRouteHook = !(routeHandler instanceof OpenRouteHandler);
  }

  /** Takes the frame that the agent's wire has just decoded. */
  take(agent: ClientAgent): void {
    const { topic, body, id, stream } = agent.wire.frame;
    const now = this.fastPath.clock.now();
    const isStream = stream === true && agent.wire.item !== undefined;
    if (!this.hasRecvHook && !this.hasRouteHook) this.router.route(agent, topic, body, id, now, isStream);
    else this.runHooks(agent, topic, body, id, now, isStream);
  }

  onApplicationShutdown(): void {
    this.hookTimeout.stop();
  }

  private runHooks(
    agent: ClientAgent,
    topic: string,
    body: Body,
    id: number,
    arrivedAt: number,
    isStream: boolean,
  ): void {
    let value: unknown;
    try {
      value = bodyValue(body);
    } catch {
      agent.refuseBadFrame();
      return;
    }
    const passage = new Passage(topic, id, value);
    const { session } = agent;
    agent.beginRequest(id);
    agent.block();
    this.hookTimeout
      .bound(inAsyncScope(() => this.ask(session, passage)))
      .catch((error: unknown) => passage.fail(this.errorOf(error, topic)))
      .then(() => {
        if (agent.isClosed) {
          agent.counters.add('frames_abandoned', 'client_gone');
          return;
        }
        const { outcome } = passage;
        agent.restartRequest(id, () => {
          if (outcome.type === 'forward') {
            this.forward(agent, topic, body, id, arrivedAt, isStream);
          } else if (outcome.type === 'error') {
            agent.sendError(id, outcome.error, topic);
          } else {
            agent.counters.framesHandled++;
            answer(agent, topic, id, outcome.body);
          }
        });
        agent.unblock();
      })
      .catch((error: unknown) => agent.onDefect(error, 'hooks'));
  }

  /** The boundary of a frame that has waited for hooks; see `ClientAgent` for those that have not. */
  private forward(
    agent: ClientAgent,
    topic: string,
    body: Body,
    id: number,
    arrivedAt: number,
    isStream: boolean,
  ): void {
    const { unansweredCount } = agent;
    try {
      this.router.route(agent, topic, body, id, arrivedAt, isStream);
    } catch (error) {
      agent.failFrame(id, topic, error, agent.unansweredCount > unansweredCount);
    }
  }

  private async ask(session: Session, passage: Passage): Promise<void> {
    if (this.hasRecvHook) await this.recvPackHandler.onPack(session, passage);
    else passage.forward();
    if (passage.outcome.type !== 'forward' || !this.hasRouteHook) return;
    if (await this.routeHandler.onRoute(session, passage.topic, passage.body)) passage.consume();
  }

  private errorOf(error: unknown, topic: string): ErrorBody {
    const body = clientErrorBody(error);
    if (body.code === 'INTERNAL') this.log.error(error);
    return sendableError(body, topic, this.log);
  }
}

/** Answers as a handler's return value would: clients without request ids get it as a push. */
function answer(agent: ClientAgent, topic: string, id: number, body: Body): void {
  if (id > 0) agent.sendFrame(agent.wire.reply(id, body));
  else if (agent.wire.pushesResults && body.kind !== BodyKind.none) agent.pushBody(topic, body);
}

/** Where a message goes: it has been forwarded, answered, dealt with, or has failed. */
type Outcome =
  | { readonly type: 'forward' }
  | { readonly type: 'reply'; readonly body: Body }
  | { readonly type: 'error'; readonly error: ErrorBody };

class Passage implements IncomingPack {
  /** Answers a request with `null` when the hook has neither forwarded nor answered it. */
  outcome: Outcome = { type: 'reply', body: NO_BODY };
  private decided = false;

  constructor(
    readonly topic: string,
    readonly id: number,
    readonly body: unknown,
  ) {}

  forward(): void {
    this.decide({ type: 'forward' });
  }

  reply(body?: unknown): void {
    this.decide({ type: 'reply', body: encodeBody(body, this.topic) });
  }

  /** A forwarded message has been dealt with after all. */
  consume(): void {
    this.outcome = { type: 'reply', body: NO_BODY };
  }

  fail(error: ErrorBody): void {
    this.outcome = { type: 'error', error };
  }

  private decide(outcome: Outcome): void {
    if (this.decided) return;
    this.decided = true;
    this.outcome = outcome;
  }
}
