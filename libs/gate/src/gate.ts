import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { AppStart, BoundedLog } from '@nestgate/worker';
import { ClientLifecycle } from './connection/client-lifecycle.js';
import { endsOnHangup } from './connection/tls-files.js';
import { TcpAcceptor } from './connection/tcp-acceptor.js';
import { WsAcceptor } from './connection/ws-acceptor.js';
import { Delegater } from './delegater.js';
import { GateCounters } from './gate-counters.js';
import type { ResolvedGateOptions } from './gate-options.js';
import { RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { AgentLearner } from './hooks/agent-learner.js';
import { HandshakeHandler } from './hooks/handshake-handler.js';
import { RecvPackHandler, RouteHandler, SendMessageHook } from './hooks/pack-hooks.js';
import { SessionLearner } from './hooks/session-learner.js';
import { StartupWindow } from './routing/startup-window.js';
import { StorageHandler } from './storage/storage-handler.js';

/** How often a draining gate looks whether its clients are done, in milliseconds. */
const POLL_MS = 20;
/**
 * The part of the time for draining in which clients are still served. A busy client always has something unanswered, so in
 * the rest nothing new is taken from it, and what is under way ends.
 */
const SERVING_PART = 0.75;

/** The face of the gate module: its parts, and its end. */
@Injectable()
export class Gate implements BeforeApplicationShutdown {
  private readonly log = new BoundedLog(Gate.name);
  private draining = false;
  /** The clients when the app began to close. */
  private clientsAtEnd = 0;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) readonly options: ResolvedGateOptions,
    readonly delegater: Delegater,
    readonly agentLearner: AgentLearner,
    readonly sessionLearner: SessionLearner,
    readonly storageHandler: StorageHandler,
    readonly routeHandler: RouteHandler,
    readonly sendMessageHook: SendMessageHook,
    readonly recvPackHandler: RecvPackHandler,
    readonly handshakeHandler: HandshakeHandler,
    readonly counters: GateCounters,
    private readonly acceptor: WsAcceptor,
    private readonly tcpAcceptor: TcpAcceptor,
    private readonly clients: ClientLifecycle,
    private readonly node: LinkNode,
    private readonly startup: StartupWindow,
    start: AppStart,
  ) {
    start.addUnserved(() => 'clients are not accepted');
    void start.add('clients', () => this.open());
    void start.add('report', () => this.report());
    start.addStop(() => this.drain());
  }

  /**
   * Whether clients should be sent here. False while the gate waits for other nodes right after its start (`startupWait`),
   * and from the moment it is told to stop: readiness checks should fail then.
   */
  get isReady(): boolean {
    return !this.draining && this.startup.isOver;
  }

  /** True from the moment the gate is told to stop. */
  get isDraining(): boolean {
    return this.draining;
  }

  /** The port of `ws.port`, when the gate has a server of its own. */
  get wsPort(): number | undefined {
    return this.acceptor.port;
  }

  /** The port of TCP clients; `undefined` when there is none. */
  get tcpPort(): number | undefined {
    return this.tcpAcceptor.port;
  }

  /** Accepts clients: the link is open, and all hooks of the app have run. */
  private async open(): Promise<void> {
    this.startup.begin();
    await this.acceptor.open();
    await this.tcpAcceptor.open();
  }

  private report(): void {
    this.log.log(`Sessions of bound users are stored in ${this.storageHandler.constructor.name}`);
    if (this.options.tls && endsOnHangup()) {
      this.log.warn(
        'SIGHUP ends this app, although it should only have certificates read again: name the signals that end it, ' +
          "app.enableShutdownHooks(['SIGTERM', 'SIGINT'])",
      );
    }
  }

  /** Before the hooks of other modules run: readiness falls first, so that no new clients are sent here. */
  private drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.clientsAtEnd = this.delegater.getAgentNum();
    this.acceptor.drain();
    this.tcpAcceptor.drain();
    this.node.announce({ draining: true });
  }

  /**
   * Lets unanswered requests end (bounded), then sends the clients away with 1012 and waits until they are gone, and
   * their disconnect hooks have ended (each bounded by `closeTimeout`).
   */
  async beforeApplicationShutdown(): Promise<void> {
    const { drainTimeout, closeTimeout } = this.options;
    // A server emits `close` before the last of its sockets does, whose turn comes behind that of immediates.
    for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve));
    this.warnOfCut();
    const serving = drainTimeout * SERVING_PART;
    if (!(await until(() => this.isIdle(), serving))) {
      for (const agent of this.delegater.sessions()) agent.block();
      await until(() => this.isIdle(), drainTimeout - serving);
    }
    const leaving = [...this.delegater.sessions()];
    this.delegater.onDestroy();
    await until(() => leaving.every(agent => agent.isGone), closeTimeout);
    for (const agent of leaving) if (!agent.isGone) agent.connection.destroy();
    // What the application does when its clients leave, such as writing to a database, is part of the end.
    if (!(await until(() => this.clients.isSettled, closeTimeout))) {
      this.log.warn(
        `Hooks of clients that have left still run after ${closeTimeout} ms (closeTimeout): the app ends without them`,
      );
    }
    await Promise.all([this.acceptor.close(), this.tcpAcceptor.close()]);
  }

  /** A module that ends the sockets of the HTTP server in its own hooks, as Apollo's does, leaves no client to say 1012 to. */
  private warnOfCut(): void {
    const { clientsAtEnd } = this;
    const cut = clientsAtEnd - this.delegater.getAgentNum();
    this.clientsAtEnd = 0;
    // Some may have left by themselves.
    if (cut < 2 || cut * 2 < clientsAtEnd) return;
    this.log.warn(
      `${cut} of ${clientsAtEnd} clients were cut (1006) before the gate could close them with 1012: another module ends the ` +
        'connections of the HTTP server when the app is closed. Let it do so in onApplicationShutdown (GraphQLModule: ' +
        'stopOnApplicationShutdown: true), or set ws.port, so that they are on a server of the gate',
    );
  }

  private isIdle(): boolean {
    for (const agent of this.delegater.sessions()) if (agent.unansweredCount > 0) return false;
    return true;
  }
}

/** Resolves with whether the condition has come true in time. */
async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    if (condition()) return true;
    if (performance.now() >= end) return false;
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}
