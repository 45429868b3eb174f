import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import {
  type Caller,
  createCaller,
  gateContract,
  type GateContract,
  HybridClock,
  LinkNode,
  type LoginClaim,
  type Peer,
} from '@nestgate/link';
import { CLOSE, GateError, isName } from '@nestgate/protocol';
import type { ClientAgent } from '../connection/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { ResolvedGateOptions } from '../gate-options.js';
import { RESOLVED_GATE_OPTIONS } from '../gate.tokens.js';
import { Hub } from '../hub/hub.js';
import { inTime } from '../storage/bounded-storage.js';
import { HolderProbes, PROBE_MS } from './holder-probe.js';

/** How long other gates are waited for, in milliseconds. One that is out of reach is told when it is back. */
const ASK_MS = 500;
/** How long other gates are waited for while they probe who has a uid. */
const PROBE_ASK_MS = PROBE_MS + 2 * ASK_MS;
/** How long a login may take in all: less than those who ask the gate wait, which is 5 s. */
const MAX_LOGIN_MS = 4_500;
/** When a gate that has not answered is told again, in milliseconds. */
const RETELL_MS = 1_000;
/** Claims in one message. */
const CLAIMS_AT_ONCE = 1_000;

/** A client on its way to be bound. */
export class Login implements LoginClaim {
  /** Another client has come first, on another gate. */
  isRefused = false;
  /** When it came, as `performance.now()`. */
  readonly since = performance.now();

  constructor(
    readonly agent: ClientAgent,
    readonly userId: string,
    /** When it came, by the clock of the cluster: of two logins all gates agree which one was first. */
    readonly clock: number,
  ) {}

  get clientId(): string {
    return this.agent.sessionState.origin.sessionId;
  }
}

/** Binds the client of a login; the storage may take until `deadline`, a time of `performance.now()`. */
type Bind = (deadline: number) => Promise<void>;

/**
 * Sees to it that a uid has one client only, where the rule says so, on all gates that know each other: `replace` keeps the
 * login that came last, `refuse` the one that came first. No gate has the say: each login has a moment of the cluster's clock,
 * so that all gates come to the same end by themselves, also when they meet again after having been apart.
 */
@Injectable()
export class LoginRules implements OnModuleInit, OnModuleDestroy {
  private readonly clock = new HybridClock();
  private readonly others: Caller<GateContract>;
  /** Since when a bound client is bound. */
  private readonly clocks = new Map<ClientAgent, number>();
  /** The login that is at work for a uid, where only one client may have it. */
  private readonly working = new Map<string, { readonly login: Login; readonly done: Promise<void> }>();
  private readonly probes: HolderProbes;
  private readonly listening: (() => void)[] = [];
  private retelling: NodeJS.Timeout | undefined;

  constructor(
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
    private readonly hub: Hub,
    private readonly node: LinkNode,
    private readonly counters: GateCounters,
  ) {
    this.others = createCaller(node, gateContract);
    this.probes = new HolderProbes(counters);
  }

  onModuleInit(): void {
    this.node.dispatcher.serve(gateContract, {
      replace: (claim, { peer }) => this.isReplaced(this.checked(claim, peer)),
      reserve: (claim, { peer }) => this.isTaken(this.checked(claim, peer)),
      probe: (claim, { peer }) => this.isHeld(this.checked(claim, peer)),
      claims: (claims, { peer }) => this.compare(this.usable(claims, peer)),
    });
    if (this.options.login === 'many') return;
    this.listening.push(
      this.node.onPeer(change => {
        const peer = change.type === 'join' ? this.node.peers.get(change.node.id) : undefined;
        if (peer) this.tellClaims([peer]);
      }),
      this.node.onStatus(isUp => {
        if (isUp) this.tellClaims(this.node.peers.values());
      }),
    );
  }

  onModuleDestroy(): void {
    for (const stop of this.listening) stop();
    clearTimeout(this.retelling);
    this.probes.stop();
  }

  /** The moment of a login that begins now. */
  now(): number {
    return this.clock.next();
  }

  /**
   * Lets a login try to bind its client. `bind` is given the moment until which the storage may take; the time that a client is probed
   * is added to `deadline` for it.
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

  /** A login is about to take effect; nothing waits any more. @throws {GateError} as {@link admit} does. */
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

  /** A client is bound no more. */
  forget(agent: ClientAgent): void {
    this.clocks.delete(agent);
  }

  /**
   * Logins of one uid one after another: of two that come at the same time the second one is refused before anything of it
   * is stored, but not for one that does not get in itself. False when another client has the uid.
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
    // The turn after it is known to be at work: others may ask at once.
    await Promise.resolve();
    if (this.boundOthers(login).length > 0 || (await this.ask('reserve', login))) return false;
    if (login.isRefused) throw taken();
    await bind(deadline);
    return true;
  }

  /**
   * Another client has the uid. The connection may be one that its client has lost without the gate seeing it, as when a phone changes
   * its network: a client that does not answer is closed, and the login tries again, once. It waits outside of the order of logins:
   * those that come meanwhile wait for the same probe.
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

  /** Asks all other gates. Those that do not answer are told later. */
  private async ask(question: 'replace' | 'reserve', { userId, clientId, clock }: Login): Promise<boolean> {
    if (!this.hasOthers()) return false;
    const { result, missing } = await this.others[question].gather({ userId, clientId, clock }, { deadlineMs: ASK_MS });
    if (missing.length > 0) {
      this.retelling ??= setTimeout(() => {
        this.retelling = undefined;
        try {
          this.tellClaims(this.node.peers.values());
        } catch (error) {
          this.node.reportDefect(error, 'login.retell');
        }
      }, RETELL_MS).unref();
    }
    return result;
  }

  private hasOthers(): boolean {
    for (const { info, isSelf } of this.node.peers.values()) if (info.role === 'gate' && !isSelf) return true;
    return false;
  }

  // What other gates ask.

  /**
   * A gate speaks for its own clients only, and with a clock that can be right.
   * @throws {GateError} `FORBIDDEN` or `BAD_ARGUMENT`; counted.
   */
  private checked(claim: LoginClaim, peer: Peer): LoginClaim {
    const fault = this.faultOf(claim, peer);
    if (!fault) return claim;
    this.counters.add('claims_refused', fault);
    throw new GateError(fault === 'role' ? 'FORBIDDEN' : 'BAD_ARGUMENT', `The ${fault} of this login is not allowed`);
  }

  private usable(claims: unknown, peer: Peer): LoginClaim[] {
    if (!Array.isArray(claims)) throw new GateError('BAD_ARGUMENT');
    return (claims as readonly LoginClaim[]).filter(claim => {
      const fault = this.faultOf(claim, peer);
      if (fault) this.counters.add('claims_refused', fault);
      return !fault;
    });
  }

  private faultOf(
    claim: Partial<LoginClaim> | null | undefined,
    peer: Peer,
  ): 'role' | 'client' | 'uid' | 'clock' | undefined {
    if (peer.info.role !== 'gate') return 'role';
    if (typeof claim?.clientId !== 'string' || !claim.clientId.startsWith(peer.clientPrefix)) return 'client';
    if (!isName(claim.userId)) return 'uid';
    return this.clock.accepts(claim.clock) ? undefined : 'clock';
  }

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
    const gates = [...peers].filter(peer => peer.info.role === 'gate' && !peer.isSelf);
    if (gates.length === 0 || this.clocks.size === 0) return;
    const claims = Array.from(this.clocks, ([agent, clock]): LoginClaim => ({
      userId: agent.sessionState.userId,
      clientId: agent.sessionState.origin.sessionId,
      clock,
    }));
    for (let at = 0; at < claims.length; at += CLAIMS_AT_ONCE) {
      const some = claims.slice(at, at + CLAIMS_AT_ONCE);
      for (const gate of gates) this.node.notify(gate, gateContract.claims, some);
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

function isBefore(one: Pick<LoginClaim, 'clock' | 'clientId'>, other: Pick<LoginClaim, 'clock' | 'clientId'>): boolean {
  return one.clock < other.clock || (one.clock === other.clock && one.clientId < other.clientId);
}

function nothing(): void {}

function taken(): GateError {
  return new GateError('FORBIDDEN', 'This user is connected already');
}
