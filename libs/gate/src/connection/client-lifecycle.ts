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
import { assertSettings, BoundedLog, Session, type Settings } from '@nestgate/worker';
import { REVOKED, RevokedError } from '../auth/revocations.js';
import { SessionExpiry } from '../auth/session-expiry.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import type { HandshakeRequest, HandshakeResult } from '../hooks/handshake-handler.js';
import { SessionLearner } from '../hooks/session-learner.js';
import { Heartbeat } from '../hub/heartbeat.js';
import { Hub } from '../hub/hub.js';
import { ClientEvents } from '../routing/client-events.js';
import { PackIntake } from '../routing/pack-intake.js';
import { TopicRouter } from '../routing/topic-router.js';
import { SessionKeeper } from '../session/session-keeper.js';
import { AgentLearner } from '../hooks/agent-learner.js';
import { SessionState } from '../session/session-state.js';
import { AgentCreator } from './agent-creator.js';
import type { AgentHost, ClientAgent } from './client-agent.js';
import type { Connection } from './connection.js';
import { DrainQueue } from './drain-queue.js';
import type { Wire } from './wire.js';

/** Makes a client of a connection, and sees it off. */
@Injectable()
export class ClientLifecycle implements AgentHost {
  readonly drainQueue = new DrainQueue();
  private readonly log = new BoundedLog(ClientLifecycle.name);
  private readonly heartbeat: Heartbeat;
  private readonly gate: Caller<SessionContract>;
  private readonly gateId: string;

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
    this.gateId = node.info.id;
    this.gate = createCaller(node, sessionContract);
    this.heartbeat = new Heartbeat(options, agent => {
      // Nobody is there to answer a close frame.
      agent.close(CLOSE.heartbeatTimeout.code, CLOSE.heartbeatTimeout.reason);
    });
  }

  /**
   * Takes in a client whose handshake has passed. Its frames wait until `SessionLearner.onConnect`, and `@OnConnect` of a
   * worker, are done.
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
    this.hub.add(agent);
    this.heartbeat.add(agent);
    const hello = wire.hello(sessionId, this.options.pingInterval);
    if (hello) agent.sendFrame(hello);
    agent.block();
    this.expiry.set(agent, handshake.authExpiresAt);
    this.guarded(() => this.agentLearner.connect(agent));
    void this.welcome(agent, handshake, request);
    return agent;
  }

  /** The session of a client, for hooks. */
  sessionOf(agent: ClientAgent): Session {
    return new Session(agent.sessionState.snapshot(), this.gate, agent);
  }

  take(agent: ClientAgent): void {
    this.intake.take(agent);
  }

  retire(agent: ClientAgent, code: number, reason: string): void {
    const session = this.sessionOf(agent);
    const groups = [...this.hub.groups.namesOf(agent)];
    this.heartbeat.remove(agent);
    this.events.disconnected(agent, { code, reason, groups });
    this.router.forget(agent);
    this.keeper.forget(agent);
    this.hub.remove(agent);
    this.guarded(() => this.agentLearner.disconnect(agent));
    this.guarded(() => this.learner.onDisconnect(session, { code, reason, groups }));
  }

  afterCloseTimeout(callback: () => void): () => void {
    const timer = setTimeout(callback, this.options.closeTimeout);
    return () => clearTimeout(timer);
  }

  private async welcome(
    agent: ClientAgent,
    handshake: HandshakeResult,
    request: HandshakeRequest | undefined,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error('SessionLearner.onConnect or @OnConnect took too long')),
        this.options.overTime,
      );
    });
    try {
      await Promise.race([this.greet(agent, handshake, request), late]);
      agent.isShaked = true;
      agent.unblock();
    } catch (error) {
      const { code, reason } = this.farewellFor(error);
      agent.close(code, reason);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Why a client cannot be welcomed. Only what nobody has meant is worth a log line. */
  private farewellFor(error: unknown): CloseCodeInfo {
    if (error instanceof RevokedError) return { ...CLOSE.policy, reason: REVOKED };
    const code = error instanceof GateError ? error.code : undefined;
    if (code === 'STORAGE_UNAVAILABLE') return CLOSE.overloaded;
    if (code === 'FORBIDDEN' || code === 'UNAUTHORIZED') return CLOSE.policy;
    if (code !== 'SESSION_NOT_FOUND') this.log.error(error);
    return CLOSE.internal;
  }

  private async greet(
    agent: ClientAgent,
    { userId, settings, authIssuedAt }: HandshakeResult,
    request: HandshakeRequest | undefined,
  ): Promise<void> {
    // A copy, and only what JSON can carry: the session outlives whatever the handler made it of.
    if (settings) agent.sessionState.merge(copySettings(settings));
    if (userId !== undefined) {
      // What is revoked while a client is on its way must not let it in: its credentials have been looked at since it came.
      await this.keeper.bind(agent, userId, { issuedAt: authIssuedAt, since: request?.arrivedAt });
    }
    await inAsyncScope(() => this.learner.onConnect(this.sessionOf(agent)));
    await this.events.connected(agent, request);
  }

  private guarded(hook: () => void | Promise<void>): void {
    new Promise<void>(resolve => resolve(inAsyncScope(hook))).catch((error: unknown) => this.log.error(error));
  }
}

/** A connection goes on with the trace it brings, when that is one. */
function traceOf({ traceParent }: HandshakeResult): string {
  return flatText(formatTraceParent(parseTraceParent(traceParent) ?? newTraceSpan()));
}

function copySettings(settings: Settings): Settings {
  assertSettings(Object.entries(settings));
  return JSON.parse(JSON.stringify(settings)) as Settings;
}
