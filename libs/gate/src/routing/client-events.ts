import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { type ClientMessage, CONNECT_TOPIC, DISCONNECT_TOPIC, PendingCall, topicContract } from '@nestgate/link';
import { type Body, GateError } from '@nestgate/protocol';
import { type ConnectEvent, type DisconnectEvent, encodeBody } from '@nestgate/worker';
import type { ClientAgent } from '../connection/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeRequest } from '../hooks/handshake-handler.js';
import { TopicRouter } from './topic-router.js';
import { MAX_WAITING } from './waiting-room.js';
import { WorkerDirectory } from './worker-directory.js';

/** The ends of an event that say nothing about what its handler thinks of it. */
const LOST: ReadonlySet<string> = new Set([
  'NODE_LOST',
  'LINK_UNAVAILABLE',
  'LINK_CLOSED',
  'LINK_CORRUPT',
  'NO_WORKER',
]);

/** Tells the workers that listen of clients that come and go. */
@Injectable()
export class ClientEvents implements OnApplicationShutdown {
  /** Events that wait for a worker; each is told whether there is one. */
  private readonly waiting = new Set<(isThere: boolean) => void>();

  constructor(
    private readonly router: TopicRouter,
    private readonly directory: WorkerDirectory,
    private readonly counters: GateCounters,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
  ) {}

  /**
   * Resolves when the client may go on: some worker has handled its coming, or there is none that would.
   * @throws {GateError} what the handler has thrown, or `TIMEOUT`.
   */
  async connected(agent: ClientAgent, request: HandshakeRequest | undefined): Promise<void> {
    if (!this.directory.isKnown(CONNECT_TOPIC)) return;
    try {
      await this.tell(agent, CONNECT_TOPIC, encodeBody(connectEvent(request)), this.options.overTime);
    } catch (error) {
      if (!(error instanceof GateError) || !LOST.has(error.code)) throw error;
      this.counters.add('events_lost', 'connect');
    }
  }

  /** The client is gone: the worker that listens is told after the client's last frame there. */
  disconnected(agent: ClientAgent, event: DisconnectEvent): void {
    if (!this.directory.isKnown(DISCONNECT_TOPIC)) return;
    this.tell(agent, DISCONNECT_TOPIC, encodeBody(event), this.options.requestTimeout)
      .catch((error: unknown) => {
        if (!(error instanceof GateError) || LOST.has(error.code) || error.code === 'TIMEOUT')
          this.counters.add('events_lost', 'disconnect');
      })
      // It may have gone to a worker that had not seen the client before.
      .finally(() => this.router.forget(agent));
  }

  onApplicationShutdown(): void {
    for (const wake of this.waiting) wake(false);
  }

  private async tell(agent: ClientAgent, topic: string, body: Body, timeoutMs: number): Promise<void> {
    const pending = new PendingCall<ClientMessage, Body>(topicContract.message);
    const deadline = performance.now() + timeoutMs;
    const isSent = (): boolean => this.router.routeEvent(agent, topic, body, pending, deadline);
    if (!isSent() && !((await this.workerFor(topic)) && isSent())) throw new GateError('NO_WORKER');
    await pending.promise;
  }

  /** Waits for a worker that serves the topic, as frames do. */
  private async workerFor(topic: string): Promise<boolean> {
    if (this.waiting.size >= MAX_WAITING || this.options.workerWait === 0) return false;
    return new Promise(resolve => {
      const wake = (isThere: boolean): void => {
        clearTimeout(timer);
        stop();
        this.waiting.delete(wake);
        resolve(isThere);
      };
      const timer = setTimeout(wake, this.options.workerWait, false);
      const stop = this.directory.onChange(() => {
        if (this.directory.workersOf(topic).length > 0) wake(true);
      });
      this.waiting.add(wake);
    });
  }
}

function connectEvent(request: HandshakeRequest | undefined): ConnectEvent {
  if (!request) return { url: '', path: '', query: {}, headers: {}, cookies: {} };
  const { url, path, query, headers, cookies } = request;
  return { url, path, query, headers, cookies };
}
