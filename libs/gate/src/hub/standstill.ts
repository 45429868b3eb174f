import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import {
  type Contract,
  type Handlers,
  type IncomingCall,
  LinkNode,
  type NodeId,
  type Peer,
  PendingCall,
  standstillContract,
} from '@nestgate/link';
import { BodySlice, GateError } from '@nestgate/protocol';
import { Revoker } from '../auth/revoker.js';
import { GateCounters } from '../gate-counters.js';
import { LoginRules } from '../session/login-rules.js';
import { Hub } from './hub.js';

/** How often it is looked whether this process has stood still, in milliseconds. */
const LOOK_MS = 250;
/** From so long a pause on, others may have taken this gate for lost. */
const PAUSE_MS = 2_000;
/** How long the others have to answer, in milliseconds, until what is held is released without them. */
const COMPARE_MS = 3_000;
/** When a node that was not there, or was lost while it was asked, is asked again, in milliseconds. */
const AGAIN_MS = 50;
/** What is held at most. */
const MAX_HELD = 100_000;
const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** For how long, and how many, dissolved groups are remembered, for gates that have not heard of it; in milliseconds. */
const REMEMBER_MS = 60_000;
const MAX_GROUPS = 10_000;

/** What must not wait: it makes others stale. */
const AT_ONCE: ReadonlySet<string> = new Set(['ungroup', 'revoke', 'sync']);

interface Held {
  readonly call: IncomingCall;
  readonly run: () => void;
  readonly refuse: (error: GateError) => void;
}

/**
 * Notices that this process has stood still, and keeps it from delivering what is stale. Other nodes may have taken the gate
 * for lost meanwhile, users have logged in elsewhere, been revoked, and groups dissolved. So what other nodes want of its
 * clients is held until each gate has told what this one has missed, and each node whether it still counts on this one. What
 * comes from a node that does not is dropped: it has counted that as lost.
 */
@Injectable()
export class Standstill implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private held: Held[] = [];
  private heldBytes = 0;
  private isHolding = false;
  private lookedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private stopListening: () => void = () => undefined;
  /** Nodes that have left while this one compares. */
  private readonly left = new Set<NodeId>();
  /** Since when this gate has stood still, while it compares. */
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

  /** Takes all members out of a group. Returns how many there were. */
  ungroup(group: string): number {
    this.dissolved.delete(group);
    this.dissolved.set(group, performance.now());
    const [oldest] = this.dissolved.keys();
    if (this.dissolved.size > MAX_GROUPS) this.dissolved.delete(oldest as string);
    return this.dissolve(group);
  }

  /** Handlers that hold what must wait while this gate compares. Questions never do. */
  guard<C extends Contract>(contract: C, handlers: Handlers<C>): Handlers<C> {
    const guarded: Record<string, unknown> = { ...handlers };
    for (const [name, operation] of Object.entries(contract)) {
      if (operation.urgent || AT_ONCE.has(name)) continue;
      const handle = handlers[name as keyof C];
      guarded[name] = (args: unknown, call: IncomingCall) =>
        this.mustWait(call) ? this.hold(handle, args, call) : handle(args, call);
    }
    return guarded as Handlers<C>;
  }

  /** A process that goes on may come to its sockets before its timers. */
  private mustWait({ peer }: IncomingCall): boolean {
    if (this.timer && this.node.receivedAt - this.lookedAt > PAUSE_MS) this.look(this.node.receivedAt);
    return this.isHolding && !peer.isSelf;
  }

  private look(now: number): void {
    const before = this.lookedAt;
    this.lookedAt = now;
    if (now - before <= PAUSE_MS) return;
    this.compareAll(before, now).catch((error: unknown) => this.node.reportDefect(error, 'standstill'));
  }

  private hold(handle: (args: unknown, call: IncomingCall) => unknown, args: unknown, call: IncomingCall): unknown {
    const bytes = sizeOf(args);
    if (this.held.length >= MAX_HELD || this.heldBytes + bytes > MAX_HELD_BYTES) {
      this.counters.add('calls_dropped', 'full');
      throw new GateError('LIMIT_EXCEEDED', 'The gate has stood still, and holds too much');
    }
    this.heldBytes += bytes;
    // Arguments may be an object that is filled with the next ones.
    const own = typeof args === 'object' ? { ...args } : args;
    return new Promise((resolve, reject) => {
      this.held.push({ call, run: () => resolve(runNow(() => handle(own, call))), refuse: reject });
    });
  }

  private async compareAll(before: number, now: number): Promise<void> {
    // What was dissolved a moment before may not have been heard of either.
    this.since = before - LOOK_MS;
    if (this.isHolding) return;
    this.isHolding = true;
    this.left.clear();
    const until = now + COMPARE_MS;
    const others = [...this.node.peers.values()].filter(({ isSelf }) => !isSelf);
    try {
      await Promise.all(others.map(({ info }) => this.compare(info.id, info.role === 'gate', until)));
    } finally {
      // Whatever has happened, what is held must not wait for ever.
      this.isHolding = false;
      this.release();
    }
  }

  /** Asks a node until it has answered, which says that it counts on this gate, and if it is a gate, that it has told all. */
  private async compare(id: NodeId, isGate: boolean, until: number): Promise<void> {
    while (performance.now() < until) {
      const peer = this.node.peers.get(id);
      if (peer ? await this.ask(peer, until) : !isGate || this.left.has(id)) return;
      await sleep(AGAIN_MS, undefined, { ref: false });
    }
  }

  private ask(peer: Peer, until: number): Promise<boolean> {
    const pending = new PendingCall(standstillContract.recall);
    this.node.request(peer, standstillContract.recall, undefined, pending, until);
    return pending.promise.then(
      () => true,
      // Workers and services do not know the operation; that they say so is an answer.
      (error: unknown) => error instanceof GateError && error.code === 'UNKNOWN_OPERATION',
    );
  }

  /** What was held is done in its order; what is not wanted any more is not. */
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

  /** Another gate has stood still. */
  private tell(call: IncomingCall): void {
    const { peer } = call;
    if (peer.info.role === 'gate') {
      this.logins.tell(peer);
      this.revoker.tell([peer]);
      const now = performance.now();
      const notices = Array.from(this.dissolved, ([group, at]) => ({ group, ageMs: now - at }));
      const recent = notices.filter(({ ageMs }) => ageMs < REMEMBER_MS);
      if (recent.length > 0) this.node.notify(peer, standstillContract.ungroups, recent);
    }
    this.node.reply(call, standstillContract.recall, undefined);
  }

  private dissolve(group: string): number {
    const { groups } = this.hub;
    const members = [...groups.members(group)];
    for (const agent of members) groups.remove(group, agent);
    return members.length;
  }
}

/** Turns an error that is thrown into a rejected promise, so that the caller gets it. */
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
