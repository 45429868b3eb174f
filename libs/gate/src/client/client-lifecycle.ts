import { Inject, Injectable } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  type Caller,
  createCaller,
  inAsyncScope,
  sessionContract,
  type SessionContract,
  parseJson,
} from '@nestgate/link/internal';
import { CLOSE, type CloseCodeInfo, GateError } from '@nestgate/protocol';
import { Session, type Settings } from '@nestgate/worker';
import { settingsEntries, BoundedLog, clientErrorBody } from '@nestgate/worker/internal';
import { REVOKED, RevokedError } from '../auth/revocations.js';
import { SessionExpiry } from '../auth/session-expiry.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeResult } from '../hooks/handshake-handler.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import { type DisconnectReason, isSilentSessionHook, SessionLearner } from '../hooks/session-learner.js';
import { Heartbeat } from '../hub/heartbeat.js';
import { Hub } from '../hub/hub.js';
import { ClientEvents, type ConnectOutcome, NO_CONNECT_WORKER } from '../routing/client-events.js';
import { PackIntake } from '../routing/pack-intake.js';
import { TopicRouter } from '../routing/topic-router.js';
import { SessionKeeper } from '../session/session-keeper.js';
import { AgentLearner, isSilentAgentHook } from '../hooks/agent-learner.js';
import { SessionState } from '../session/session-state.js';
import { TraceParents } from '../session/trace-parents.js';
import { AgentCreator, isOwnCreator } from './agent-creator.js';
import { BurstBudget } from './burst-budget.js';
import type { AgentHost, ClientAgent } from './client-agent.js';
import { type Connection, tooLargeReason } from '../connection/connection.js';
import { DrainQueue } from './drain-queue.js';
import { RefusalLog } from '../admission/refusal-log.js';
import type { Wire } from '../codec/wire.js';

/** The progress of the connect hooks of one client: which have started, and what follows when they have settled. */
class Welcome {
  /** `SessionLearner.onConnect` has started. */
  greeted = false;
  /** Whether a worker has started, or may have started, its `@OnConnect`. */
  event: ConnectOutcome = 'untold';
  /** Runs the disconnect hooks, if the client has disconnected meanwhile. */
  onSettled: (() => void) | undefined;
  /** Sends the first frame, or, with `undefined`, none. Until then other messages to the client wait. */
  sayHello!: (hello: Uint8Array | undefined) => void;
  readonly hello = new Promise<Uint8Array | undefined>(resolve => (this.sayHello = resolve));
}

/**
 * Creates the client of a connection, and removes it at the end. Each disconnect hook runs after the connect hook of its kind has
 * settled. If that connect hook did not start, the disconnect hook does not run.
 */
@Injectable()
export class ClientLifecycle implements AgentHost {
  readonly drainQueue = new DrainQueue();
  readonly bursts: BurstBudget;
  private readonly log = new BoundedLog(ClientLifecycle.name);
  private readonly refusals = new RefusalLog(ClientLifecycle.name);
  private readonly tooLarge: string;
  private readonly heartbeat: Heartbeat;
  private readonly gate: Caller<SessionContract>;
  readonly reportDefect: AgentHost['reportDefect'];
  private readonly gateId: string;
  private readonly traceParents = new TraceParents();
  /** Clients with a connect hook that still runs. */
  private readonly welcomes = new Map<ClientAgent, Welcome>();
  private runningHooks = 0;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) readonly options: ResolvedGateOptions,
    readonly counters: GateCounters,
    node: LinkNode,
    private readonly hub: Hub,
    private readonly router: TopicRouter,
    private readonly events: ClientEvents,
    private readonly intake: PackIntake,
    private readonly keeper: SessionKeeper,
    private readonly learner: SessionLearner,
    private readonly agentLearner: AgentLearner,
    private readonly agentCreator: AgentCreator,
    private readonly expiry: SessionExpiry,
  ) {
    this.bursts = new BurstBudget(options, counters);
    this.tooLarge = tooLargeReason(options.maxPackSize);
    this.gateId = node.info.id;
    this.reportDefect = node.defects.report;
    this.gate = createCaller(node, sessionContract);
    this.heartbeat = new Heartbeat(options, agent => {
      // A silent client does not answer the close frame; `close` then destroys the connection after a time limit.
      agent.close(CLOSE.heartbeatTimeout.code, CLOSE.heartbeatTimeout.reason);
    });
  }

  /**
   * Creates a client whose handshake was accepted. Its frames and the messages to it wait until `SessionLearner.onConnect`, and
   * `@OnConnect` of a worker, are done. A client that a hook rejects receives only the close code and its reason.
   */
  connect(
    connection: Connection,
    wire: Wire,
    handshake: HandshakeResult,
    request: HandshakeRequest | undefined,
  ): ClientAgent {
    const serial = this.hub.nextSerial();
    const sessionId = this.hub.clientId(serial);
    const { ip, network } = connection;
    const traceParent = this.traceParents.from(handshake.traceParent);
    const state = new SessionState(
      { sessionId, serverId: this.gateId, ip, network, connectedAt: Date.now(), traceParent },
      this.options.maxSettingsBytes,
    );
    const agent = isOwnCreator(this.agentCreator)
      ? this.agentCreator.create(this, serial, state, connection, wire)
      : this.createInScope(serial, state, connection, wire);
    agent.userData = handshake.userData;
    // The hello of a resumable session has a ticket with the id of the agent, which is set only after this method has returned.
    if (!connection.session && this.isPlain(handshake)) this.admit(agent, handshake);
    else this.receive(agent, handshake, request);
    return agent;
  }

  /** Creates the client of a session that has moved from another gate. No session hook runs, because the session did not start here. */
  adopt(connection: Connection, wire: Wire, state: SessionState, arrival: ConnectOutcome): ClientAgent {
    const agent = this.createInScope(this.hub.nextSerial(), state, connection, wire);
    agent.arrival = arrival;
    this.hub.adopt(agent);
    void this.guarded(() => this.agentLearner.connect(agent));
    return agent;
  }

  private createInScope(serial: number, state: SessionState, connection: Connection, wire: Wire): ClientAgent {
    return inAsyncScope(() => this.agentCreator.create(this, serial, state, connection, wire));
  }

  /** Whether no code of the application runs before the first frame of a client, and nothing is loaded or stored for it. */
  private isPlain({ userId, settings }: HandshakeResult): boolean {
    return (
      userId === undefined &&
      !settings &&
      isSilentAgentHook(this.agentLearner, 'connect') &&
      isSilentSessionHook(this.learner, 'onConnect') &&
      !this.events.tellsConnect
    );
  }

  /** Accepts a client without hooks synchronously: a promise, a timer and a queue for early messages would cost as much as the connection. */
  private admit(agent: ClientAgent, { authExpiresAt }: HandshakeResult): void {
    this.hub.add(agent);
    try {
      this.expiry.set(agent, authExpiresAt);
      if (agent.isClosed) return;
      agent.arrival = 'untold';
      this.heartbeat.add(agent);
      agent.sendFirst(this.helloFor(agent));
    } catch (error) {
      // The client is in the indexes already, so it has to end like any other client.
      agent.onDefect(error, 'connect');
    }
  }

  /** Accepts a client after all connect hooks of the application are done. */
  private receive(agent: ClientAgent, handshake: HandshakeResult, request: HandshakeRequest | undefined): void {
    const welcome = new Welcome();
    this.welcomes.set(agent, welcome);
    this.hub.add(agent);
    try {
      agent.deferFrame(welcome.hello);
      agent.block();
      this.expiry.set(agent, handshake.authExpiresAt);
    } catch (error) {
      // The client is in the indexes already, so it has to end like any other client.
      agent.onDefect(error, 'connect');
    }
    this.welcome(agent, welcome, handshake, request).catch((error: unknown) => agent.onDefect(error, 'welcome'));
  }

  /** Whether a connect event needs the request of the handshake. */
  get readsRequests(): boolean {
    return this.events.tellsConnect;
  }

  /** Whether no hook runs, also for clients that have disconnected. */
  get isSettled(): boolean {
    return this.runningHooks === 0 && this.welcomes.size === 0;
  }

  /** Stops the pings of a resumable client that has lost its socket. */
  pauseHeartbeat(agent: ClientAgent): void {
    this.heartbeat.remove(agent);
  }

  /** Starts the pings again, on the next socket. */
  resumeHeartbeat(agent: ClientAgent): void {
    this.heartbeat.add(agent);
  }

  /** Runs a hook of the application. Logs its exceptions. */
  runHook(hook: () => void | Promise<void>): void {
    void this.guarded(hook);
  }

  /** The session of a client, for hooks. */
  sessionOf(agent: ClientAgent): Session {
    return new Session(agent.sessionState.snapshot(), this.gate, agent);
  }

  take(agent: ClientAgent): void {
    this.intake.take(agent);
  }

  /** Removes a client from all indexes immediately. Its disconnect hooks wait for connect hooks that still run. */
  retire(agent: ClientAgent, code: number, reason: string): void {
    const welcome = this.welcomes.get(agent);
    // Collects no data when no hook or worker is notified of the end: all clients may end in the same turn.
    const isLeaving = agent.connection.session?.isHandedOver !== true;
    const leave = isLeaving && (welcome || this.tellsEnds) ? this.leaveOf(agent, code, reason, welcome) : undefined;
    if (code === CLOSE.tooLarge.code && reason === this.tooLarge) {
      this.refusals.add(code, `${reason} from ${agent.connection.ip}`);
    }
    this.heartbeat.remove(agent);
    agent.connection.session?.onEnd(code, reason);
    this.keeper.forget(agent);
    this.hub.remove(agent);
    this.router.abandon(agent);
    if (!agent.isShaked) {
      // Messages that the application sent before it closed the client are delivered after the hello.
      if (welcome && code === CLOSE.kicked.code && agent.pendingPacks > 1) welcome.sayHello(this.helloFor(agent));
      else agent.dropQueued('not_welcomed');
      this.events.abandon(agent);
    }
    if (welcome) welcome.onSettled = leave;
    else if (leave) leave();
    else this.router.forget(agent);
    if (!isLeaving) void this.guarded(() => this.agentLearner.disconnect(agent));
  }

  private get tellsEnds(): boolean {
    return (
      this.events.tellsDisconnect ||
      !isSilentAgentHook(this.agentLearner, 'disconnect') ||
      !isSilentSessionHook(this.learner, 'onDisconnect')
    );
  }

  /** A function that runs the disconnect hooks, with the session and groups of this moment. */
  private leaveOf(agent: ClientAgent, code: number, reason: string, welcome: Welcome | undefined): () => void {
    const session = this.sessionOf(agent);
    const event: DisconnectReason = { code, reason, groups: [...this.hub.groups.namesOf(agent)] };
    return () => this.leave(agent, session, event, welcome);
  }

  afterCloseTimeout(callback: () => void): () => void {
    const timer = setTimeout(callback, this.options.closeTimeout);
    return () => clearTimeout(timer);
  }

  /** Runs the disconnect hooks whose connect hooks have started. Without `welcome` all connect hooks have settled. */
  private leave(agent: ClientAgent, session: Session, event: DisconnectReason, welcome?: Welcome): void {
    const { code, reason, groups } = event;
    const outcome = agent.arrival === 'coming' ? welcome?.event : agent.arrival;
    this.events.disconnected(agent, { code, reason, groups }, outcome === 'told');
    this.router.forget(agent);
    void this.guarded(() => this.agentLearner.disconnect(agent));
    if (!welcome || welcome.greeted) void this.guarded(() => this.learner.onDisconnect(session, event));
  }

  private async welcome(
    agent: ClientAgent,
    welcome: Welcome,
    handshake: HandshakeResult,
    request: HandshakeRequest | undefined,
  ): Promise<void> {
    const { overTime } = this.options;
    const deadline = performance.now() + overTime;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error('SessionLearner.onConnect or AgentLearner.connect took longer than overTime')),
        overTime,
      );
    });
    // It may reject after the race has settled: then the rejection must not be unhandled.
    late.catch(() => undefined);
    const agentHook = this.guarded(() => this.agentLearner.connect(agent));
    try {
      await Promise.race([this.greet(agent, welcome, handshake, request), late]);
      // From here the link enforces the time limit: it ends each request at its deadline.
      await this.events.connected(agent, request, deadline, outcome => (welcome.event = outcome));
      assertHere(agent);
      const hello = this.helloFor(agent);
      agent.arrival = welcome.event;
      // Not earlier: the first frame must be the hello, not a ping.
      this.heartbeat.add(agent);
      welcome.sayHello(hello);
      agent.unblock();
    } catch (error) {
      const { code, reason } = this.closeInfoFor(error);
      agent.close(code, reason);
    }
    // The client does not wait for this hook, but it must settle before the disconnect hooks run.
    await Promise.race([agentHook, late]).catch((error: unknown) => this.log.error(error));
    clearTimeout(timer);
    this.welcomes.delete(agent);
    welcome.onSettled?.();
  }

  private helloFor({ wire, sessionState, connection }: ClientAgent): Uint8Array | undefined {
    if (connection.session) return connection.session.hello();
    return wire.hello(sessionState.origin.sessionId, this.options.pingInterval);
  }

  /** The close code for an error of a connect hook. Only unexpected errors are logged. */
  private closeInfoFor(error: unknown): Pick<CloseCodeInfo, 'code' | 'reason'> {
    if (error instanceof RevokedError) return { ...CLOSE.policy, reason: REVOKED };
    const { code, message } = clientErrorBody(error);
    if (code === 'FORBIDDEN' || code === 'UNAUTHORIZED') return { ...CLOSE.policy, reason: message };
    if (code === 'STORAGE_UNAVAILABLE') return CLOSE.overloaded;
    if (code === 'NO_WORKER') return { ...CLOSE.overloaded, reason: NO_CONNECT_WORKER };
    if (code !== 'SESSION_NOT_FOUND') this.log.error(error);
    return CLOSE.internal;
  }

  private async greet(
    agent: ClientAgent,
    welcome: Welcome,
    { userId, settings, authIssuedAt }: HandshakeResult,
    request: HandshakeRequest | undefined,
  ): Promise<void> {
    // A copy of the JSON values: the handler may still change its object.
    if (settings) agent.sessionState.merge(copySettings(settings));
    if (userId !== undefined) {
      // A revocation since the start of the handshake must apply: the credentials were checked before it.
      await this.keeper.bind(agent, userId, { issuedAt: authIssuedAt, since: request?.arrivedAt, mayExceed: true });
    }
    // No connect hook runs for a client that has disconnected, because no disconnect hook would follow.
    assertHere(agent);
    welcome.greeted = true;
    await inAsyncScope(() => this.learner.onConnect(this.sessionOf(agent)));
  }

  private async guarded(hook: () => void | Promise<void>): Promise<void> {
    this.runningHooks++;
    try {
      await inAsyncScope(hook);
    } catch (error) {
      this.log.error(error);
    } finally {
      this.runningHooks--;
    }
  }
}

/** @throws {GateError} `SESSION_NOT_FOUND` when the client has left. */
function assertHere(agent: ClientAgent): void {
  if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
}

function copySettings(settings: object): Settings {
  return parseJson<Settings>(JSON.stringify(Object.fromEntries(settingsEntries(settings))));
}
