import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import {
  type ClientMessage,
  CONNECT_TOPIC,
  DETACH_TOPIC,
  DISCONNECT_TOPIC,
  PendingCall,
  RESUME_TOPIC,
  topicContract,
} from '@nestgate/link/internal';
import { type Body, GateError } from '@nestgate/protocol';
import type { ConnectEvent, DetachEvent, DisconnectEvent, ResumeEvent } from '@nestgate/worker';
import { encodeBody } from '@nestgate/worker/internal';
import type { Arrival, ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import { TopicRouter } from './topic-router.js';
import { MAX_WAITING } from './waiting-room.js';
import { WorkerDirectory } from './worker-directory.js';

/** The ends of an event that say nothing about what its handler thinks of it. */
const LOST: ReadonlySet<string> = new Set([
  'NODE_LOST',
  'LINK_UNAVAILABLE',
  'LINK_CLOSED',
  'LINK_CORRUPT',
  'UNKNOWN_OPERATION',
  'NO_WORKER',
]);

/** The reason with which a client is refused that no worker can handle the `@OnConnect` of. */
export const NO_CONNECT_WORKER = 'no worker for @OnConnect';
/** A handler may be begun on so many workers: the first one, and one more when that is lost. */
const MAX_TRIES = 2;

/** Whether a worker has, or may have, begun to handle the coming of a client. */
export type ConnectOutcome = Exclude<Arrival, 'coming'>;

/** Tells the workers that listen of clients that come and go. */
@Injectable()
export class ClientEvents implements OnApplicationShutdown {
  /** Clients whose event waits for a worker, each with a callback for the result. */
  private readonly waiting = new Map<ClientAgent, (isThere: boolean) => void>();

  constructor(
    private readonly router: TopicRouter,
    private readonly directory: WorkerDirectory,
    private readonly counters: GateCounters,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
  ) {}

  /** Whether a client is welcomed only when a worker has handled its `@OnConnect`. */
  get tellsConnect(): boolean {
    return this.options.requireOnConnect || this.directory.isKnown(CONNECT_TOPIC);
  }

  /** Whether a worker has a handler for clients that leave. */
  get tellsDisconnect(): boolean {
    return this.directory.isKnown(DISCONNECT_TOPIC);
  }

  /**
   * Resolves when a worker has handled the connect event, or when no worker is known to listen. Waits for a missing worker (`workerWait`,
   * at most until `deadline`); a worker that is lost meanwhile is replaced by another one, once. `note` receives each change of the
   * outcome. Times are of `performance.now()`.
   * @throws {GateError} what the handler has thrown, `TIMEOUT`, `NO_WORKER`, or `SESSION_NOT_FOUND` when the client has disconnected
   * before a worker received the event.
   */
  async connected(
    agent: ClientAgent,
    request: HandshakeRequest | undefined,
    deadline: number,
    note: (outcome: ConnectOutcome) => void,
  ): Promise<void> {
    if (!this.tellsConnect) return;
    const body = encodeBody(connectEvent(request));
    let mayHaveRun = false;
    for (let tries = 1; ; tries++) {
      try {
        const ended = await this.send(agent, CONNECT_TOPIC, body, deadline);
        note('told');
        return await ended.answer;
      } catch (error) {
        if (!(error instanceof GateError) || !LOST.has(error.code)) throw error;
        mayHaveRun ||= error.code !== 'NO_WORKER' && error.code !== 'LINK_UNAVAILABLE';
        if (!mayHaveRun) note('untold');
        if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
        if (error.code !== 'NO_WORKER' && tries < MAX_TRIES) continue;
        this.counters.add('events_lost', 'connect');
        throw new GateError('NO_WORKER');
      }
    }
  }

  /** The client has left: a connect event that still waits for a worker is dropped. */
  abandon(agent: ClientAgent): void {
    this.waiting.get(agent)?.(false);
  }

  /**
   * Sends the disconnect event to a listening worker, after the client's last frame to it. `wasTold`: whether a worker received the
   * connect event. Where `@OnConnect` has a handler, a client whose connect event reached no worker gets no
   * disconnect event.
   */
  disconnected(agent: ClientAgent, event: DisconnectEvent, wasTold: boolean): void {
    if (!this.tellsDisconnect) return;
    if (!wasTold && this.directory.isKnown(CONNECT_TOPIC)) return;
    this.tell(agent, DISCONNECT_TOPIC, event)
      .catch((error: unknown) => {
        if (!(error instanceof GateError) || LOST.has(error.code) || error.code === 'TIMEOUT')
          this.counters.add('events_lost', 'disconnect');
      })
      // The event may have gone to a worker without a lane of the client.
      .finally(() => this.router.forget(agent));
  }

  /** The client has lost its connection, and its session is kept. */
  detached(agent: ClientAgent, event: DetachEvent): void {
    this.tellIfHeard(agent, DETACH_TOPIC, 'detach', event);
  }

  /** The session goes on with another connection. */
  resumed(agent: ClientAgent, event: ResumeEvent): void {
    this.tellIfHeard(agent, RESUME_TOPIC, 'resume', event);
  }

  private tellIfHeard(agent: ClientAgent, topic: string, label: string, event: DetachEvent | ResumeEvent): void {
    if (!this.directory.isKnown(topic)) return;
    this.tell(agent, topic, event).catch((error: unknown) => {
      if (!(error instanceof GateError) || LOST.has(error.code) || error.code === 'TIMEOUT')
        this.counters.add('events_lost', label);
    });
  }

  onApplicationShutdown(): void {
    for (const wake of this.waiting.values()) wake(false);
  }

  private async tell(agent: ClientAgent, topic: string, event: object): Promise<void> {
    const deadline = performance.now() + this.options.requestTimeout;
    const { answer } = await this.send(agent, topic, encodeBody(event), deadline);
    await answer;
  }

  /**
   * Sends an event to a worker, at once when one listens; resolves with what the answer will be, in an object: it is not waited for.
   * @throws {GateError} `NO_WORKER`, or `SESSION_NOT_FOUND` when the client has left before its coming could be told.
   */
  private async send(
    agent: ClientAgent,
    topic: string,
    body: Body,
    deadline: number,
  ): Promise<{ readonly answer: Promise<void> }> {
    const pending = new PendingCall<ClientMessage, Body>(topicContract.message);
    const isSent = (): boolean => {
      if (topic === CONNECT_TOPIC && agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
      return this.router.routeEvent(agent, topic, body, pending, deadline);
    };
    const isThere = isSent() || ((await this.workerFor(agent, topic, deadline)) && isSent());
    if (!isThere) throw new GateError(topic === CONNECT_TOPIC && agent.isClosed ? 'SESSION_NOT_FOUND' : 'NO_WORKER');
    const answer = pending.promise.then(() => undefined);
    // The caller handles the rejection. It may come before the caller awaits the promise.
    answer.catch(() => undefined);
    return { answer };
  }

  /** Waits for a worker that serves the topic, as frames do. */
  private async workerFor(agent: ClientAgent, topic: string, deadline: number): Promise<boolean> {
    const waitMs = Math.min(this.options.workerWait, deadline - performance.now());
    if (this.waiting.size >= MAX_WAITING || this.waiting.has(agent) || waitMs <= 0) return false;
    return new Promise(resolve => {
      const wake = (isThere: boolean): void => {
        clearTimeout(timer);
        stop();
        this.waiting.delete(agent);
        resolve(isThere);
      };
      const timer = setTimeout(wake, waitMs, false);
      const stop = this.directory.onChange(() => {
        if (this.directory.workersOf(topic).length > 0) wake(true);
      });
      this.waiting.set(agent, wake);
    });
  }
}

function connectEvent(request: HandshakeRequest | undefined): ConnectEvent {
  if (!request) return { url: '', path: '', query: {}, headers: {}, cookies: {} };
  const { url, path, query, headers, cookies } = request;
  return { url, path, query, headers, cookies };
}
