import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { AppStart, BoundedLog } from '@nestgate/worker/internal';
import { ClientLifecycle } from './client/client-lifecycle.js';
import { endsOnHangup } from './admission/tls-files.js';
import { TcpAcceptor } from './tcp/tcp-acceptor.js';
import { WsAcceptor } from './websocket/ws-acceptor.js';
import { Delegater } from './delegater.js';
import { GateCounters } from './gate-counters.js';
import type { ResolvedGateOptions } from './gate-options.js';
import { RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { AgentLearner } from './hooks/agent-learner.js';
import { HandshakeHandler } from './hooks/handshake-handler.js';
import { RecvPackHandler, RouteHandler, SendMessageHook } from './hooks/pack-hooks.js';
import { SessionLearner } from './hooks/session-learner.js';
import { StartupWindow } from './routing/startup-window.js';
import { ResumableSessions } from './resume/resumable-sessions.js';
import { SpooledSessions } from './spool/spooled-sessions.js';
import { StorageHandler } from './storage/storage-handler.js';

/** Interval at which a draining gate checks for unanswered requests, in milliseconds. */
const POLL_MS = 20;
/**
 * The part of `drainTimeout` in which clients are still served. A busy client always has an unanswered request. In the rest of the
 * time the gate therefore accepts no new frames and waits for the requests in flight.
 */
const SERVING_PART = 0.75;

/** Gives access to the parts of the gate module, starts the acceptors and drains them at shutdown. */
@Injectable()
export class Gate implements BeforeApplicationShutdown {
  private readonly log = new BoundedLog(Gate.name);
  private readonly spool: SpooledSessions | undefined;
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
    private readonly sessions: ResumableSessions,
    start: AppStart,
  ) {
    const { resume, nodeId } = options;
    if (resume?.spoolDir !== undefined) this.spool = new SpooledSessions(sessions, resume.spoolDir, nodeId);
    start.addUnserved(() => 'clients are not accepted');
    void start.add('clients', () => this.open());
    void start.add('report', () => this.report());
    start.addStop(() => this.drain());
  }

  /**
   * Whether the gate accepts clients, for readiness checks. False while it waits for other nodes after its start
   * (`startupWait`), and as soon as it begins to stop.
   */
  get isReady(): boolean {
    return !this.draining && this.startup.isOver;
  }

  /** True as soon as the gate begins to stop. */
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

  /** Refuses new clients from now on, as a gate does that is about to end: readiness fails, and other nodes know that it drains. */
  refuseClients(): void {
    this.drain();
  }

  /** Starts to accept clients, after the link is open and all hooks of the app have run. */
  private async open(): Promise<void> {
    this.startup.begin();
    this.spool?.restore();
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

  /** Runs before the hooks of other modules: readiness falls first, so that load balancers send no new clients. */
  private drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.clientsAtEnd = this.delegater.getAgentNum();
    this.acceptor.drain();
    this.tcpAcceptor.drain();
    this.node.announce({ draining: true });
  }

  /**
   * Moves sessions that outlive their connection to other gates, waits for unanswered requests (both `drainTimeout`), then closes the clients with 1012, and waits for their close and for their
   * disconnect hooks (each at most `closeTimeout`).
   */
  async beforeApplicationShutdown(): Promise<void> {
    const { drainTimeout, closeTimeout } = this.options;
    // A server emits `close` before the last of its sockets does, whose turn comes behind that of immediates.
    for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve));
    this.warnOfCut();
    const serving = drainTimeout * SERVING_PART;
    const before = performance.now();
    await this.sessions.moveAway(serving);
    if (!(await until(() => this.isIdle(), Math.max(0, serving - (performance.now() - before))))) {
      for (const agent of this.delegater.sessions()) agent.block();
      await until(() => this.isIdle(), drainTimeout - serving);
    }
    await this.spool?.save();
    this.sessions.stop();
    const leaving = [...this.delegater.sessions()];
    this.delegater.onDestroy();
    await until(() => leaving.every(agent => agent.isGone), closeTimeout);
    for (const agent of leaving) if (!agent.isGone) agent.connection.destroy();
    // Disconnect hooks, which may write to a database, are part of the shutdown.
    if (!(await until(() => this.clients.isSettled, closeTimeout))) {
      this.log.warn(
        `Hooks of clients that have left still run after ${closeTimeout} ms (closeTimeout): the app ends without them`,
      );
    }
    await Promise.all([this.acceptor.close(), this.tcpAcceptor.close()]);
  }

  /** Warns when another module, for example Apollo's, has closed the sockets of the HTTP server before the gate sent 1012. */
  private warnOfCut(): void {
    const { clientsAtEnd } = this;
    const cut = clientsAtEnd - this.delegater.getAgentNum();
    this.clientsAtEnd = 0;
    // Some clients may have disconnected by themselves.
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

/** Waits for a condition. Resolves with false after the time limit. */
async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    if (condition()) return true;
    if (performance.now() >= end) return false;
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}
