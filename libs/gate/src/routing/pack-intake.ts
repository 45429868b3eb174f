import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { inAsyncScope, LinkNode } from '@nestgate/link';
import { type Body, BodyKind, type ErrorBody, NO_BODY } from '@nestgate/protocol';
import { BoundedLog, clientErrorBody, encodeBody, sendableError, Session } from '@nestgate/worker';
import { bodyValue } from '../body-value.js';
import type { ClientAgent } from '../connection/client-agent.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { HookPatience } from '../hooks/hook-patience.js';
import {
  ForwardingRecvPackHandler,
  type IncomingPack,
  OpenRouteHandler,
  RecvPackHandler,
  RouteHandler,
} from '../hooks/pack-hooks.js';
import { TopicRouter } from './topic-router.js';

/**
 * Takes what clients send: through the application's hooks, where there are any, and on to the router. Without hooks a
 * frame goes straight on.
 */
@Injectable()
export class PackIntake implements OnApplicationShutdown {
  private readonly log = new BoundedLog(PackIntake.name);
  private readonly patience: HookPatience;
  private readonly hasRecvHook: boolean;
  private readonly hasRouteHook: boolean;

  constructor(
    private readonly router: TopicRouter,
    private readonly recvPackHandler: RecvPackHandler,
    private readonly routeHandler: RouteHandler,
    @Inject(RESOLVED_GATE_OPTIONS) { requestTimeout }: ResolvedGateOptions,
    node: LinkNode,
  ) {
    this.patience = new HookPatience(requestTimeout, this.log, 'RecvPackHandler or RouteHandler', node.defects.report);
    this.hasRecvHook = !(recvPackHandler instanceof ForwardingRecvPackHandler);
    this.hasRouteHook = !(routeHandler instanceof OpenRouteHandler);
  }

  /** Takes the frame that the agent's wire has just decoded. */
  take(agent: ClientAgent): void {
    const { topic, body, id } = agent.wire.frame;
    const now = performance.now();
    if (!this.hasRecvHook && !this.hasRouteHook) this.router.route(agent, topic, body, id, now);
    else this.runHooks(agent, topic, body, id, now);
  }

  onApplicationShutdown(): void {
    this.patience.stop();
  }

  private runHooks(agent: ClientAgent, topic: string, body: Body, id: number, arrivedAt: number): void {
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
    this.patience
      .bound(inAsyncScope(() => this.ask(session, passage)))
      .catch((error: unknown) => passage.fail(this.errorOf(error, topic)))
      .then(() => {
        if (agent.isClosed) {
          agent.counters.add('frames_abandoned', 'client_gone');
          return;
        }
        agent.endRequest(id);
        const { outcome } = passage;
        if (outcome.type === 'forward') {
          this.forward(agent, topic, body, id, arrivedAt);
        } else if (outcome.type === 'error') {
          agent.sendError(id, outcome.error, topic);
        } else {
          agent.counters.framesHandled++;
          answer(agent, topic, id, outcome.body);
        }
        agent.unblock();
      })
      .catch((error: unknown) => agent.onDefect(error, 'hooks'));
  }

  /** The boundary of a frame that has waited for hooks; see `ClientAgent` for those that have not. */
  private forward(agent: ClientAgent, topic: string, body: Body, id: number, arrivedAt: number): void {
    const { unansweredCount } = agent;
    try {
      this.router.route(agent, topic, body, id, arrivedAt);
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
  /** What nobody answers is answered with nothing. */
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
