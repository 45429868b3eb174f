import { Inject, Injectable } from '@nestjs/common';
import {
  type Caller,
  createCaller,
  flatText,
  inAsyncScope,
  LinkNode,
  sessionContract,
  type SessionContract,
} from '@nestgate/link';
import {
  CLOSE,
  type CloseCodeInfo,
  formatTraceParent,
  GateError,
  newTraceSpan,
  parseTraceParent,
} from '@nestgate/protocol';
import { settingsEntries, BoundedLog, clientErrorBody, Session, type Settings } from '@nestgate/worker';
import { REVOKED, RevokedError } from '../auth/revocations.js';
import { SessionExpiry } from '../auth/session-expiry.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeResult } from '../hooks/handshake-handler.js';
import type { HandshakeRequest } from '../hooks/handshake-request.js';
import { type DisconnectReason, SessionLearner } from '../hooks/session-learner.js';
import { Heartbeat } from '../hub/heartbeat.js';
import { Hub } from '../hub/hub.js';
import { ClientEvents, type ConnectOutcome, NO_CONNECT_WORKER } from '../routing/client-events.js';
import { PackIntake } from '../routing/pack-intake.js';
import { TopicRouter } from '../routing/topic-router.js';
import { SessionKeeper } from '../session/session-keeper.js';
import { AgentLearner } from '../hooks/agent-learner.js';
import { SessionState } from '../session/session-state.js';
import { AgentCreator } from './agent-creator.js';
import { BurstBudget } from './burst-budget.js';
import type { AgentHost, ClientAgent } from './client-agent.js';
import { type Connection, tooLargeReason } from './connection.js';
import { DrainQueue } from './drain-queue.js';
import { RefusalLog } from './refusal-log.js';
import type { Wire } from './wire.js';

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
    const state = new SessionState(
      { sessionId, serverId: this.gateId, ip, network, connectedAt: Date.now(), traceParent: traceOf(handshake) },
      this.options.maxSettingsBytes,
    );
    const agent = inAsyncScope(() => this.agentCreator.create(this, serial, state, connection, wire));
    agent.userData = handshake.userData;
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
    return agent;
  }

  /** Whether no hook of the application runs for a client, of those that have left either. */
  get isSettled(): boolean {
    return this.runningHooks === 0 && this.welcomes.size === 0;
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
    const session = this.sessionOf(agent);
    const event: DisconnectReason = { code, reason, groups: [...this.hub.groups.namesOf(agent)] };
    if (code === CLOSE.tooLarge.code && reason === this.tooLarge) {
      this.refusals.add(code, `${reason} from ${agent.connection.ip}`);
    }
    this.heartbeat.remove(agent);
    this.keeper.forget(agent);
    this.hub.remove(agent);
    this.router.abandon(agent);
    const welcome = this.welcomes.get(agent);
    if (!agent.isShaked) {
      // What the application has sent before it closes the client itself is its last word, and goes out after the hello.
      if (welcome && code === CLOSE.kicked.code && agent.pendingPacks > 1) welcome.sayHello(this.helloFor(agent));
      else agent.dropQueued('not_welcomed');
      this.events.abandon(agent);
    }
    if (welcome) welcome.onSettled = () => this.leave(agent, session, event, welcome);
    else this.leave(agent, session, event);
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
      const { code, reason } = this.farewellFor(error);
      agent.close(code, reason);
    }
    // Not part of the welcome, but it has to settle before the disconnect hooks run.
    await Promise.race([agentHook, late]).catch((error: unknown) => this.log.error(error));
    clearTimeout(timer);
    this.welcomes.delete(agent);
    welcome.onSettled?.();
  }

  private helloFor({ wire, sessionState }: ClientAgent): Uint8Array | undefined {
    return wire.hello(sessionState.origin.sessionId, this.options.pingInterval);
  }

  /** Why a client cannot be welcomed. Only what nobody has meant is worth a log line. */
  private farewellFor(error: unknown): Pick<CloseCodeInfo, 'code' | 'reason'> {
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

/** A connection goes on with the trace it brings, when that is one. */
function traceOf({ traceParent }: HandshakeResult): string {
  return flatText(formatTraceParent(parseTraceParent(traceParent) ?? newTraceSpan()));
}

/** @throws {GateError} `SESSION_NOT_FOUND` when the client has left. */
function assertHere(agent: ClientAgent): void {
  if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
}

function copySettings(settings: object): Settings {
  return JSON.parse(JSON.stringify(Object.fromEntries(settingsEntries(settings)))) as Settings;
}
