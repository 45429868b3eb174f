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

/** The welcome of one client while it runs: which connect hooks have begun, and what follows when they have settled. */
class Welcome {
  /** `SessionLearner.onConnect` has begun. */
  greeted = false;
  /** Whether a worker has, or may have, begun its `@OnConnect`. */
  event: ConnectOutcome = 'untold';
  /** The disconnect hooks, when the client has left meanwhile. */
  onSettled: (() => void) | undefined;
  /** Sends the first frame, or, with `undefined`, nothing. What else is sent meanwhile waits for it. */
  sayHello!: (hello: Uint8Array | undefined) => void;
  readonly hello = new Promise<Uint8Array | undefined>(resolve => (this.sayHello = resolve));
}

/**
 * Makes a client of a connection, and sees it off. Each disconnect hook runs after the connect hook of its kind has settled, or,
 * when that one has not begun, not at all.
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
  /** Clients some connect hook of which still runs. */
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
      // Nobody is there to answer a close frame.
      agent.close(CLOSE.heartbeatTimeout.code, CLOSE.heartbeatTimeout.reason);
    });
  }

  /**
   * Takes in a client whose handshake has passed. Its frames, and what is sent to it, wait until `SessionLearner.onConnect`, and
   * `@OnConnect` of a worker, are done. A client that is not welcomed gets nothing but the close code and its reason.
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
    // The ticket in the hello of a session names its agent, which is set when this has returned.
    if (!connection.session && this.isPlain(handshake)) this.admit(agent, handshake);
    else this.receive(agent, handshake, request);
    return agent;
  }

  /** Makes a client of a session that has come from another gate. No hook of the session runs: it has not begun here. */
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

  /** Whether no code of the application runs for a client before its first frame, and nothing of it is stored. */
  private isPlain({ userId, settings }: HandshakeResult): boolean {
    return (
      userId === undefined &&
      !settings &&
      isSilentAgentHook(this.agentLearner, 'connect') &&
      isSilentSessionHook(this.learner, 'onConnect') &&
      !this.events.tellsConnect
    );
  }

  /** Welcomes a client at once: a promise, a timer or a queue for what is sent meanwhile would cost as much as its connection. */
  private admit(agent: ClientAgent, { authExpiresAt }: HandshakeResult): void {
    this.hub.add(agent);
    try {
      this.expiry.set(agent, authExpiresAt);
      if (agent.isClosed) return;
      agent.arrival = 'untold';
      this.heartbeat.add(agent);
      agent.sendFirst(this.helloFor(agent));
    } catch (error) {
      // It is in the indexes already: it ends as any other client does.
      agent.onDefect(error, 'connect');
    }
  }

  /** Welcomes a client when all hooks of the application are done with it. */
  private receive(agent: ClientAgent, handshake: HandshakeResult, request: HandshakeRequest | undefined): void {
    const welcome = new Welcome();
    this.welcomes.set(agent, welcome);
    this.hub.add(agent);
    try {
      agent.deferFrame(welcome.hello);
      agent.block();
      this.expiry.set(agent, handshake.authExpiresAt);
    } catch (error) {
      // It is in the indexes already: it ends as any other client does.
      agent.onDefect(error, 'connect');
    }
    this.welcome(agent, welcome, handshake, request).catch((error: unknown) => agent.onDefect(error, 'welcome'));
  }

  /** Whether the request of a handshake will be looked at by a client's welcome. */
  get readsRequests(): boolean {
    return this.events.tellsConnect;
  }

  /** Whether no hook of the application runs for a client, of those that have left either. */
  get isSettled(): boolean {
    return this.runningHooks === 0 && this.welcomes.size === 0;
  }

  /** A client whose session is kept has lost its socket: there is nobody to ping. */
  pauseHeartbeat(agent: ClientAgent): void {
    this.heartbeat.remove(agent);
  }

  /** It has another one. */
  resumeHeartbeat(agent: ClientAgent): void {
    this.heartbeat.add(agent);
  }

  /** Runs a hook of the application; what it throws is logged. */
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

  /** Takes a client out of all indexes at once; its disconnect hooks wait for the connect hooks that still run. */
  retire(agent: ClientAgent, code: number, reason: string): void {
    const welcome = this.welcomes.get(agent);
    // Of a client whose end nobody is told, nothing is collected: all may end at once.
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

  /** Runs the disconnect hooks, with what the client has been until now. */
  private leaveOf(agent: ClientAgent, code: number, reason: string, welcome: Welcome | undefined): () => void {
    const session = this.sessionOf(agent);
    const event: DisconnectReason = { code, reason, groups: [...this.hub.groups.namesOf(agent)] };
    return () => this.leave(agent, session, event, welcome);
  }

  afterCloseTimeout(callback: () => void): () => void {
    const timer = setTimeout(callback, this.options.closeTimeout);
    return () => clearTimeout(timer);
  }

  /** Runs the disconnect hooks whose connect hooks have begun. Without a welcome all of them have settled. */
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
        () => reject(new Error('SessionLearner.onConnect or AgentLearner.connect took too long')),
        overTime,
      );
    });
    // It may settle late, and then nobody waits for it.
    late.catch(() => undefined);
    const agentHook = this.guarded(() => this.agentLearner.connect(agent));
    try {
      await Promise.race([this.greet(agent, welcome, handshake, request), late]);
      // From here on the link bounds the time: it ends each request at its deadline.
      await this.events.connected(agent, request, deadline, outcome => (welcome.event = outcome));
      assertHere(agent);
      const hello = this.helloFor(agent);
      agent.arrival = welcome.event;
      // Not before: a ping is no first frame.
      this.heartbeat.add(agent);
      welcome.sayHello(hello);
      agent.unblock();
    } catch (error) {
      const { code, reason } = this.closeInfoFor(error);
      agent.close(code, reason);
    }
    // Not part of the welcome, but it has to settle before the disconnect hooks run.
    await Promise.race([agentHook, late]).catch((error: unknown) => this.log.error(error));
    clearTimeout(timer);
    this.welcomes.delete(agent);
    welcome.onSettled?.();
  }

  private helloFor({ wire, sessionState, connection }: ClientAgent): Uint8Array | undefined {
    if (connection.session) return connection.session.hello();
    return wire.hello(sessionState.origin.sessionId, this.options.pingInterval);
  }

  /** Why a client cannot be welcomed. Only what nobody has meant is worth a log line. */
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
    // A copy, and only what JSON can carry: the session outlives whatever the handler made it of.
    if (settings) agent.sessionState.merge(copySettings(settings));
    if (userId !== undefined) {
      // What is revoked while a client is on its way must not let it in: its credentials have been looked at since it came.
      await this.keeper.bind(agent, userId, { issuedAt: authIssuedAt, since: request?.arrivedAt, mayExceed: true });
    }
    // A client that has left is not welcomed: no disconnect hook would follow.
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
