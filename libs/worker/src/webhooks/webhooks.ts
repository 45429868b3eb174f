import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { kindOf } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { GatewayApi } from '../gateway/gateway-api.js';
import { BoundedLog } from '../log/bounded-log.js';
import type { Session } from '../session/session.js';
import type { ConnectEvent, DisconnectEvent } from '../topics/client-events.js';
import { countOne, WebhookMetrics } from './webhook-counters.js';
import { type WebhookAnswer, WebhookEndpoint, WebhookError } from './webhook-endpoint.js';
import type { ResolvedWebhook, WebhookEvent } from './webhook-options.js';
import { WebhookQueue } from './webhook-queue.js';

/** How long the last events have to arrive when the app ends, in milliseconds. */
const CLOSE_MS = 3_000;
const DOWN = 'The endpoint does not answer';

/** Asks and tells the endpoints of an application. */
@Injectable()
export class Webhooks implements OnApplicationShutdown {
  private readonly log = new BoundedLog('Webhooks');
  private readonly byTopic = new Map<string, WebhookEndpoint>();
  private readonly connecting: WebhookEndpoint | undefined;
  private readonly disconnected: WebhookQueue | undefined;

  constructor(
    hooks: readonly ResolvedWebhook[],
    private readonly gateway: GatewayApi,
    private readonly metrics: WebhookMetrics,
  ) {
    const endpoints = hooks.map(hook => new WebhookEndpoint(hook, metrics, this.log));
    const having = (event: WebhookEvent): WebhookEndpoint | undefined =>
      endpoints.find(({ options }) => options.events.has(event));
    for (const endpoint of endpoints) {
      for (const topic of endpoint.options.topics) this.byTopic.set(topic, endpoint);
      if (endpoint.options.isReadable) {
        this.log.warn(
          `Events for ${new URL(endpoint.options.url).host} are not encrypted: use https outside of a private network`,
        );
      }
    }
    this.connecting = having('connect');
    const told = having('disconnect');
    this.disconnected = told && new WebhookQueue(told, 'disconnect', metrics, this.log);
  }

  /** Asks whether a client may stay, and does what the answer says. @throws {GateError} when it may not. */
  async connect(request: ConnectEvent, session: Session): Promise<void> {
    if (!this.connecting) return;
    const { status, body } = await this.ask(this.connecting, 'connect', session, { request });
    const { uid, groups, settings, error } = recordOf(body, 'connect');
    if (status >= 400 || error !== undefined) {
      const { code, message } = errorOf(error);
      const isKnown = status === 401 || code === 'UNAUTHORIZED';
      throw new GateError(isKnown ? 'UNAUTHORIZED' : 'FORBIDDEN', message);
    }
    if (settings !== undefined) await session.toSetBatch(recordOf(settings, 'settings') as never);
    if (uid !== undefined) await session.toBind(uid as string);
    if (groups !== undefined) await this.gateway.joinGroup(session.clientId, groups as readonly string[]);
  }

  /** Tells that a client is gone. Nobody waits for it. */
  disconnect(event: DisconnectEvent, session: Session): void {
    const { id, body } = eventOf('disconnect', session, { ...event });
    this.disconnected?.add(id, body);
  }

  /**
   * Asks for the reply to a message.
   * @throws {RpcException} the error that the endpoint has answered.
   * @throws {GateError} `NO_WORKER` when it does not answer.
   */
  async message(topic: string, content: unknown, session: Session): Promise<unknown> {
    const endpoint = this.byTopic.get(topic);
    if (!endpoint) throw new GateError('NO_ROUTE');
    const { status, body } = await this.ask(endpoint, 'message', session, { topic, body: content });
    const { reply, error } = recordOf(body, 'message');
    if (status < 400 && error === undefined) return reply ?? null;
    const { code, message, details } = errorOf(error);
    // Of a GateError the details stay inside: here they are the application's own, for its client.
    throw new RpcException(new GateError(code ?? 'BAD_REQUEST', message, details).toBody());
  }

  /** The queues end after the handlers have: events of the last clients are among them. */
  async onApplicationShutdown(): Promise<void> {
    await this.disconnected?.close(CLOSE_MS);
  }

  private async ask(
    endpoint: WebhookEndpoint,
    kind: WebhookEvent,
    session: Session,
    particulars: object,
  ): Promise<WebhookAnswer> {
    const { id, body } = eventOf(kind, session, particulars);
    try {
      const answer = await endpoint.send(id, body);
      countOne(this.metrics.delivered, kind);
      return answer;
    } catch (error) {
      // Why is in the counters, and in the log where the endpoint is down: not for clients.
      if (error instanceof WebhookError) throw new GateError('NO_WORKER', DOWN);
      throw error;
    }
  }
}

function eventOf(
  event: WebhookEvent,
  session: Session,
  particulars: object,
): { readonly id: string; readonly body: string } {
  const { clientId, userId, ip, network, connectedAt } = session;
  const id = randomUUID();
  const about = { clientId, uid: userId, ip, network, connectedAt, settings: session.cloneSettings() };
  return { id, body: JSON.stringify({ event, id, session: about, ...particulars }) };
}

/** The fields of an answer. @throws {GateError} `INTERNAL` for what is no object: the fault of the endpoint, not of the client. */
function recordOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  throw new Error(`The endpoint has answered ${what} with ${kindOf(value)}, where an object is expected`);
}

function errorOf(value: unknown): { code: string | undefined; message: string | undefined; details: unknown } {
  const { code, message, details } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  return {
    code: typeof code === 'string' && code !== '' ? code : undefined,
    message: typeof message === 'string' ? message : undefined,
    details,
  };
}
