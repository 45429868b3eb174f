import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { LinkNode, type NodeId } from '@nestgate/link';
import {
  type Contract,
  type Handlers,
  type IncomingCall,
  type Peer,
  PendingCall,
  standstillContract,
  present,
} from '@nestgate/link/internal';
import { BodySlice, GateError } from '@nestgate/protocol';
import { Revoker } from '../auth/revoker.js';
import { GateCounters } from '../gate-counters.js';
import { LoginRules } from '../session/login-rules.js';
import { Hub } from './hub.js';

/** Interval of the check for a pause of this process, in milliseconds. */
const LOOK_MS = 250;
/** Pause after which other nodes may consider this gate lost, in milliseconds. */
const PAUSE_MS = 2_000;
/** Time limit for the answers of the other nodes, in milliseconds; then held operations are released without them. */
const COMPARE_MS = 3_000;
/** Interval at which a missing node is queried again, in milliseconds. */
const AGAIN_MS = 50;
/** Bounds of the held operations. */
const MAX_HELD = 100_000;
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** Time, in milliseconds, and number of dissolved groups that are remembered for gates that were paused. */
const REMEMBER_MS = 60_000;
const MAX_GROUPS = 10_000;

/** Operations that are never held, because they make other state stale. */
const AT_ONCE: ReadonlySet<string> = new Set(['ungroup', 'revoke', 'sync']);

interface Held {
  readonly call: IncomingCall;
  readonly run: () => void;
  readonly refuse: (error: GateError) => void;
}

/**
 * Detects a pause of this process, and prevents it from applying stale operations. During the pause other nodes may have considered the
 * gate lost, users may have logged in elsewhere or been revoked, and groups may have been dissolved. After a pause the gate holds the
 * operations of other nodes on its clients, until each gate has sent what this one has missed, and each node has confirmed that it still
 * considers this gate alive. Operations of other nodes are dropped: those nodes have counted them as lost.
 */
@Injectable()
export class Standstill implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private held: Held[] = [];
  private heldBytes = 0;
  private isHolding = false;
  private lookedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private stopListening: () => void = () => undefined;
  /** Nodes that have left during the comparison. */
  private readonly left = new Set<NodeId>();
  /** Start of the pause, during the comparison. */
  private since = 0;
  private readonly dissolved = new Map<string, number>();

  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly logins: LoginRules,
    private readonly revoker: Revoker,
    private readonly counters: GateCounters,
  ) {}

  onModuleInit(): void {
    this.node.dispatcher.serve(standstillContract, {
      recall: (_, call) => this.tell(call),
      ungroups: (notices, { peer }) => {
        if (!this.isHolding || peer.info.role !== 'gate') return;
        const now = performance.now();
        for (const { group, ageMs } of notices) if (now - ageMs >= this.since) this.dissolve(group);
      },
    });
    this.stopListening = this.node.onPeer(change => {
      if (change.type === 'leave' && this.isHolding) this.left.add(change.id);
    });
  }

  onApplicationBootstrap(): void {
    this.lookedAt = performance.now();
    const look = this.node.defects.guard('standstill', () => this.look(performance.now()));
    this.timer = setInterval(look, LOOK_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.stopListening();
  }

  /** Removes all members of a group. Returns their number. */
  ungroup(group: string): number {
    this.dissolved.delete(group);
    this.dissolved.set(group, performance.now());
    const [oldest] = this.dissolved.keys();
    if (this.dissolved.size > MAX_GROUPS) this.dissolved.delete(present(oldest));
    return this.dissolve(group);
  }

  /** Wraps handlers so that they hold operations during the comparison. Queries are never held. */
  guard<C extends Contract>(contract: C, handlers: Handlers<C>): Handlers<C> {
    const guarded: Record<string, unknown> = { ...handlers };
    for (const [name, operation] of Object.entries(contract)) {
      if (operation.urgent || AT_ONCE.has(name)) continue;
      const handle = handlers[name as keyof C];
      guarded[name] = (args: unknown, call: IncomingCall) =>
        this.mustWait(call) ? this.hold(handle, args, call, operation.to === 'node') : handle(args, call);
    }
    return guarded as Handlers<C>;
  }

  /** A process that continues may read its sockets before its timers run. */
  private mustWait({ peer }: IncomingCall): boolean {
    if (this.timer && this.node.receivedAt - this.lookedAt > PAUSE_MS) this.look(this.node.receivedAt);
    return this.isHolding && peer !== this.node.me;
  }

  private look(now: number): void {
    const before = this.lookedAt;
    this.lookedAt = now;
    if (now - before <= PAUSE_MS) return;
    this.compareAll(before, now).catch((error: unknown) => this.node.reportDefect(error, 'standstill'));
  }

  /** `answers`: the operation answers by itself, and its result is ignored. */
  private hold(
    handle: (args: unknown, call: IncomingCall) => unknown,
    args: unknown,
    call: IncomingCall,
    answers: boolean,
  ): unknown {
    const bytes = sizeOf(args);
    if (this.held.length >= MAX_HELD || this.heldBytes + bytes > MAX_HELD_BYTES) {
      this.counters.add('calls_dropped', 'full');
      throw new GateError('LIMIT_EXCEEDED', 'The gate has paused, and holds too many operations');
    }
    this.heldBytes += bytes;
    // The arguments may be an object that is reused for the next message.
    const own = typeof args === 'object' ? { ...args } : args;
    if (answers) {
      const refuse = (error: GateError): void => {
        if (call.generation !== 0) call.peer.fail(call, error);
      };
      const run = (): void => {
        try {
          handle(own, call);
        } catch (error) {
          this.node.reportDefect(error, 'standstill');
          refuse(new GateError('INTERNAL'));
        }
      };
      this.held.push({ call, run, refuse });
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.held.push({ call, run: () => resolve(runNow(() => handle(own, call))), refuse: reject });
    });
  }

  private async compareAll(before: number, now: number): Promise<void> {
    // Groups dissolved right before the pause may have been missed too.
    this.since = before - LOOK_MS;
    if (this.isHolding) return;
    this.isHolding = true;
    this.left.clear();
    const until = now + COMPARE_MS;
    const others = [...this.node.remotes.values()];
    try {
      await Promise.all(others.map(({ info }) => this.compare(info.id, info.role === 'gate', until)));
    } finally {
      // Release in any case, so that held operations never wait forever.
      this.isHolding = false;
      this.release();
    }
  }

  /** Queries a node until it has answered: then it considers this gate alive, and a gate has sent all changes. */
  private async compare(id: NodeId, isGate: boolean, until: number): Promise<void> {
    while (performance.now() < until) {
      const peer = this.node.peers.get(id);
      if (peer ? await this.ask(peer, until) : !isGate || this.left.has(id)) return;
      await sleep(AGAIN_MS, undefined, { ref: false });
    }
  }

  private ask(peer: Peer, until: number): Promise<boolean> {
    const pending = new PendingCall(standstillContract.recall);
    peer.request(standstillContract.recall, undefined, pending, until);
    return pending.promise.then(
      () => true,
      // Workers and services do not know the operation; their error is an answer too.
      (error: unknown) => error instanceof GateError && error.code === 'UNKNOWN_OPERATION',
    );
  }

  /** Runs held operations in order, except those that are stale or past their deadline. */
  private release(): void {
    const { held } = this;
    this.held = [];
    this.heldBytes = 0;
    const now = performance.now();
    for (const { call, run, refuse } of held) {
      if (this.node.peers.get(call.peer.info.id) !== call.peer) this.counters.add('calls_dropped', 'stale');
      else if (call.generation !== 0 && call.deadline < now) refuse(new GateError('TIMEOUT'));
      else run();
    }
  }

  /** Another gate has paused: sends it all changes. */
  private tell(call: IncomingCall): void {
    const { peer } = call;
    if (peer.info.role === 'gate') {
      this.logins.tell(peer);
      this.revoker.tell([peer]);
      const now = performance.now();
      const notices = Array.from(this.dissolved, ([group, at]) => ({ group, ageMs: now - at }));
      const recent = notices.filter(({ ageMs }) => ageMs < REMEMBER_MS);
      if (recent.length > 0) peer.notify(standstillContract.ungroups, recent);
    }
    call.peer.reply(call, standstillContract.recall, undefined);
  }

  private dissolve(group: string): number {
    const { groups } = this.hub;
    const members = [...groups.members(group)];
    for (const agent of members) groups.remove(group, agent);
    return members.length;
  }
}

/** Turns a thrown error into a rejected promise, so that the caller receives it. */
function runNow(task: () => unknown): unknown {
  try {
    return task();
  } catch (error) {
    return Promise.reject(error);
  }
}

function sizeOf(args: unknown): number {
  const { body } = (args ?? {}) as { body?: unknown };
  return body instanceof BodySlice ? body.end - body.start : 0;
}
