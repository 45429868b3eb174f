import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  type Caller,
  createCaller,
  gateContract,
  type GateContract,
  HybridClock,
  type LoginClaim,
  type Peer,
} from '@nestgate/link/internal';
import { CLOSE, GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Hub } from '../hub/hub.js';
import { inTime } from '../storage/bounded-storage.js';
import { ClaimChecks } from './claim-checks.js';
import { HolderProbes, PROBE_MS } from './holder-probe.js';
import { isBefore, type Login } from './login.js';

/** Time limit for the answers of other gates, in milliseconds. An unreachable gate receives the claim when it is back. */
const ASK_MS = 500;
/** How long other gates are waited for while they probe who has a uid. */
const PROBE_ASK_MS = PROBE_MS + 2 * ASK_MS;
/** How long a login may take in all: less than those who ask the gate wait, which is 5 s. */
const MAX_LOGIN_MS = 4_500;
/** Interval at which a claim is repeated to a gate that has not answered, in milliseconds. */
const RETELL_MS = 1_000;
/** Claims in one message. */
const CLAIMS_AT_ONCE = 1_000;

/** Binds the client of a login; the storage may take until `deadline`, a time of `performance.now()`. */
type Bind = (deadline: number) => Promise<void>;

/**
 * Enforces the login rule on all gates of the cluster: `replace` keeps the newest login of a uid, `refuse` the oldest one. There is
 * no coordinator: each login has a timestamp of the hybrid logical clock, so that all gates select the same winner, also after a network
 * partition.
 */
@Injectable()
export class LoginRules implements OnModuleInit, OnModuleDestroy {
  private readonly clock = new HybridClock();
  private readonly others: Caller<GateContract>;
  /** Since when a bound client is bound. */
  private readonly clocks = new Map<ClientAgent, number>();
  /** The login that is at work for a uid, where only one client may have it. */
  private readonly working = new Map<string, { readonly login: Login; readonly done: Promise<void> }>();
  private readonly checks: ClaimChecks;
  private readonly probes: HolderProbes;
  private readonly listening: (() => void)[] = [];
  private retelling: NodeJS.Timeout | undefined;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly hub: Hub,
    private readonly node: LinkNode,
    counters: GateCounters,
  ) {
    this.others = createCaller(node, gateContract);
    this.checks = new ClaimChecks(node, this.clock, counters);
    this.probes = new HolderProbes(counters);
  }

  onModuleInit(): void {
    this.node.dispatcher.serve(gateContract, {
      replace: (claim, { peer }) => this.isReplaced(this.checks.checked(claim, peer)),
      reserve: (claim, { peer }) => this.isTaken(this.checks.checked(claim, peer)),
      probe: (claim, { peer }) => this.isHeld(this.checks.checked(claim, peer)),
      claims: (claims, { peer }) => this.compare(this.checks.usable(claims, peer)),
    });
    if (this.options.login === 'many') return;
    this.listening.push(
      this.node.onPeer(change => {
        const peer = change.type === 'join' ? this.node.remotes.get(change.node.id) : undefined;
        if (peer) this.tellClaims([peer]);
      }),
      this.node.onStatus(isUp => {
        if (isUp) this.tellClaims(this.node.remotes.values());
      }),
    );
  }

  onModuleDestroy(): void {
    for (const stop of this.listening) stop();
    clearTimeout(this.retelling);
    this.probes.stop();
  }

  /** The timestamp of a login that starts now. */
  now(): number {
    return this.clock.next();
  }

  /**
   * Runs a login, which binds its client by calling `bind` with the deadline of the storage. The time of a probe is added to
   * `deadline`.
   * @throws {GateError} `FORBIDDEN` when another client has the uid, `SESSION_NOT_FOUND` when this one has been replaced.
   */
  async admit(login: Login, deadline: number, bind: Bind): Promise<void> {
    const { login: rule } = this.options;
    if (rule === 'refuse') {
      if (!(await this.alone(login, deadline, bind))) await this.afterProbe(login, deadline, bind);
    } else {
      await bind(deadline);
      if (rule === 'replace' && (await this.ask('replace', login))) throw this.replace(login.agent);
    }
  }

  /** Decides a login synchronously, right before it takes effect. @throws {GateError} as {@link admit} does. */
  decide(login: Login): void {
    const { login: rule } = this.options;
    if (rule === 'refuse' && login.isRefused) throw taken();
    if (rule !== 'replace') return;
    const others = this.boundOthers(login);
    if (others.some(other => this.isFirst(login, other))) throw this.replace(login.agent);
    for (const other of others) this.replace(other);
  }

  /** A login has taken effect. */
  note({ agent, clock }: Login): void {
    this.clocks.set(agent, clock);
  }

  /** When a bound client was bound, by the clock of the cluster. */
  clockOf(agent: ClientAgent): number | undefined {
    return this.clocks.get(agent);
  }

  /** A bound client has come from another gate. */
  adopt(agent: ClientAgent, clock: number): void {
    this.clock.observe(clock);
    this.clocks.set(agent, clock);
  }

  /** A client is not bound any more. */
  forget(agent: ClientAgent): void {
    this.clocks.delete(agent);
  }

  /**
   * Serializes the logins of one uid: of two concurrent logins the second one is refused before it stores anything, but only when the
   * first one succeeds. Returns false when another client has the uid.
   */
  private async alone(login: Login, deadline: number, bind: Bind): Promise<boolean> {
    const { userId } = login;
    for (let other = this.working.get(userId); other; other = this.working.get(userId)) {
      const { done } = other;
      await inTime(deadline, () => done);
    }
    const isBound = this.tryAlone(login, deadline, bind);
    this.working.set(userId, { login, done: isBound.then(nothing, nothing) });
    return await isBound.finally(() => this.working.delete(userId));
  }

  private async tryAlone(login: Login, deadline: number, bind: Bind): Promise<boolean> {
    // Continue after `working` has the entry, because other logins may check it immediately.
    await Promise.resolve();
    if (this.boundOthers(login).length > 0 || (await this.ask('reserve', login))) return false;
    if (login.isRefused) throw taken();
    await bind(deadline);
    return true;
  }

  /**
   * Another client has the uid. Its connection may be lost without the gate having detected it, for example when a phone changes its
   * network. The gate closes a client that does not answer a ping, and repeats the login once. The wait is outside of the serialization:
   * concurrent logins wait for the same probe.
   */
  private async afterProbe(login: Login, deadline: number, bind: Bind): Promise<void> {
    const from = performance.now();
    const isHeld = login.isRefused || (await this.isHeldAnywhere(login));
    const probed = Math.min(deadline + performance.now() - from, login.since + MAX_LOGIN_MS);
    if (isHeld || !(await this.alone(login, Math.max(deadline, probed), bind))) throw taken();
  }

  /** A gate of a version without probes does not answer, and is asked again whether it has the uid. */
  private async isHeldAnywhere(login: Login): Promise<boolean> {
    if (!this.hasOthers()) return this.isHeld(login);
    const { userId, clientId, clock } = login;
    return (await this.others.probe.gather({ userId, clientId, clock }, { deadlineMs: PROBE_ASK_MS })).result;
  }

  /** Whether a client of this gate has the uid, and stays: where the rule lets it, it is asked whether it is alive. */
  private async isHeld(claim: LoginClaim): Promise<boolean> {
    const others = this.boundOthers(claim);
    if (this.options.login !== 'refuse') return others.length > 0;
    return (await Promise.all(others.map(other => this.probes.isAlive(other)))).includes(true);
  }

  /** Queries all other gates. Gates that do not answer receive the claim later. */
  private async ask(question: 'replace' | 'reserve', { userId, clientId, clock }: Login): Promise<boolean> {
    if (!this.hasOthers()) return false;
    const { result, missing } = await this.others[question].gather({ userId, clientId, clock }, { deadlineMs: ASK_MS });
    if (missing.length > 0) {
      this.retelling ??= setTimeout(() => {
        this.retelling = undefined;
        try {
          this.tellClaims(this.node.remotes.values());
        } catch (error) {
          this.node.reportDefect(error, 'login.retell');
        }
      }, RETELL_MS).unref();
    }
    return result;
  }

  private hasOthers(): boolean {
    for (const { isGate } of this.node.remotes.values()) if (isGate) return true;
    return false;
  }

  // Operations for other gates.

  private isReplaced(claim: LoginClaim): boolean {
    this.clock.observe(claim.clock);
    const others = this.boundOthers(claim);
    for (const other of others) if (!this.isFirst(claim, other)) this.replace(other);
    return others.some(other => this.isFirst(claim, other));
  }

  private isTaken(claim: LoginClaim): boolean {
    this.clock.observe(claim.clock);
    if (this.boundOthers(claim).length > 0) return true;
    const mine = this.working.get(claim.userId)?.login;
    if (!mine || mine.clientId === claim.clientId) return false;
    if (isBefore(mine, claim)) return true;
    mine.isRefused = true;
    return false;
  }

  /** Two gates have met: of each uid that both have, one client stays. Both come to the same end. */
  private compare(claims: readonly LoginClaim[]): void {
    const { login: rule } = this.options;
    for (const claim of claims) {
      this.clock.observe(claim.clock);
      for (const other of this.boundOthers(claim)) {
        const otherIsLater = this.isFirst(claim, other);
        if (rule === 'replace' ? !otherIsLater : otherIsLater) this.replace(other);
      }
    }
  }

  /** Tells a gate who is bound here, where a rule depends on it. */
  tell(gate: Peer): void {
    if (this.options.login !== 'many') this.tellClaims([gate]);
  }

  private tellClaims(peers: Iterable<Peer>): void {
    const gates = [...peers].filter(peer => peer.info.role === 'gate');
    if (gates.length === 0 || this.clocks.size === 0) return;
    const claims = Array.from(this.clocks, ([agent, clock]): LoginClaim => ({
      userId: agent.sessionState.userId,
      clientId: agent.sessionState.origin.sessionId,
      clock,
    }));
    for (let at = 0; at < claims.length; at += CLAIMS_AT_ONCE) {
      const some = claims.slice(at, at + CLAIMS_AT_ONCE);
      for (const gate of gates) gate.notify(gateContract.claims, some);
    }
  }

  private boundOthers({ userId, clientId }: LoginClaim): ClientAgent[] {
    return [...this.hub.uids.members(userId)].filter(agent => agent.sessionState.origin.sessionId !== clientId);
  }

  /** Whether a claim was there before a client of this gate was bound. */
  private isFirst(claim: LoginClaim, agent: ClientAgent): boolean {
    return isBefore(claim, { clock: this.clocks.get(agent) ?? 0, clientId: agent.sessionState.origin.sessionId });
  }

  private replace(agent: ClientAgent): GateError {
    agent.close(CLOSE.replaced.code, CLOSE.replaced.reason);
    return new GateError('SESSION_NOT_FOUND', 'Replaced by a newer login');
  }
}

function nothing(): void {}

function taken(): GateError {
  return new GateError('FORBIDDEN', 'This user is connected already');
}
