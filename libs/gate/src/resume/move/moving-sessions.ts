import { Injectable } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  type Handlers,
  type IncomingCall,
  type Peer,
  PendingCall,
  pushContract,
  type PushReceipt,
  type ReceiptContract,
  receiptContract,
  sessionContract,
  type SessionContract,
} from '@nestgate/link/internal';
import { type Body, GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../../client/client-agent.js';
import { Hub } from '../../hub/hub.js';
import { Standstill } from '../../hub/standstill.js';
import { ELSEWHERE_MS } from '../../receipts/receipt.js';

type PushHandlers = Handlers<typeof pushContract>;
type SessionHandlers = Handlers<SessionContract>;
type ReceiptHandlers = Handlers<ReceiptContract>;

/** What a gate does for others that a move changes. */
export interface MovableHandlers {
  readonly sessions: SessionHandlers;
  readonly pushes: PushHandlers;
  readonly receipts: ReceiptHandlers;
}

/** Changes of a session wait until it is known which gate has it. */
interface Hold {
  /** Resolves with the id of the gate that has it by then; `undefined`: it is this one. */
  readonly end: Promise<string | undefined>;
}

/**
 * The sessions that are between two gates at the moment. Both gates have such a session in their indexes, and every push to a uid, a group
 * or all clients reaches both. Of each sender one of them delivers it: the old gate up to the sender's marker, the new one behind it.
 * Operations on the session itself wait.
 *
 * While no session moves, the handlers of the gate are registered as they are: this class is not asked then.
 */
@Injectable()
export class MovingSessions {
  /** The clients that messages of a node are not for, by client id. */
  private readonly excluded = new Map<Peer, Map<string, ClientAgent>>();
  private readonly holds = new Map<string, Hold>();
  private readonly moving = new Set<string>();
  private base!: MovableHandlers;

  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly standstill: Standstill,
  ) {
    hub.absence = clientId => this.absenceOf(clientId);
  }

  /** Registers what the gate does for others. */
  serve(handlers: MovableHandlers): void {
    this.base = handlers;
    this.register(handlers);
  }

  /** Sessions that are between two gates now. */
  get size(): number {
    return this.moving.size;
  }

  /** A session begins to move. Operations on it wait for `end`. */
  begin(clientId: string, end: Promise<string | undefined>): void {
    this.holds.set(clientId, { end });
    this.moving.add(clientId);
    if (this.moving.size === 1) this.register(this.guarded());
  }

  /** Operations on a session run again. */
  unhold(clientId: string): void {
    this.holds.delete(clientId);
  }

  /** A session has moved, or has not, and no node sends twice. */
  end(clientId: string): void {
    this.holds.delete(clientId);
    if (!this.moving.delete(clientId)) return;
    for (const clients of this.excluded.values()) clients.delete(clientId);
    if (this.moving.size > 0) return;
    this.excluded.clear();
    this.register(this.base);
  }

  /** What this node sends is not for the client: the other gate delivers it. */
  exclude(sender: Peer, clientId: string, agent: ClientAgent): void {
    const clients = this.excluded.get(sender);
    if (clients) clients.set(clientId, agent);
    else this.excluded.set(sender, new Map([[clientId, agent]]));
  }

  /** What this node sends from now on is for the client. */
  admit(sender: Peer, clientId: string): void {
    this.excluded.get(sender)?.delete(clientId);
  }

  /** Passes on a push that a node has sent before it knew where the session is. False when that is not known here either. */
  forward(clientId: string, topic: string, body: Body): boolean {
    const holder = this.node.holders.size > 0 ? this.node.holders.find(clientId) : undefined;
    if (!holder || holder.peer === this.node.me) return false;
    holder.peer.notify(pushContract.one, { serial: holder.serial, topic, body });
    return true;
  }

  /** As {@link forward}, and resolves with whether the client has acknowledged it; `undefined` when it is not known where it is. */
  forwardForReceipt(clientId: string, topic: string, body: Body, waitMs: number): Promise<PushReceipt> | undefined {
    const holder = this.node.holders.find(clientId);
    if (!holder || holder.peer === this.node.me) return undefined;
    const call = new PendingCall(receiptContract.send);
    const deadline = performance.now() + waitMs + ELSEWHERE_MS;
    holder.peer.request(receiptContract.send, { clientIds: [clientId], topic, body, waitMs }, call, deadline);
    return call.promise;
  }

  private register({ sessions, pushes, receipts }: MovableHandlers): void {
    const { dispatcher } = this.node;
    dispatcher.serve(sessionContract, this.standstill.guard(sessionContract, sessions));
    dispatcher.serve(pushContract, this.standstill.guard(pushContract, pushes));
    dispatcher.serve(receiptContract, this.standstill.guard(receiptContract, receipts));
  }

  private absenceOf(clientId: string): GateError {
    const peer = this.node.holders.size > 0 ? this.node.holders.find(clientId)?.peer : undefined;
    const details = peer && peer !== this.node.me ? { movedTo: peer.info.id } : undefined;
    return new GateError('SESSION_NOT_FOUND', undefined, details);
  }

  private guarded(): MovableHandlers {
    return { sessions: this.guardedSessions(), pushes: this.guardedPushes(), receipts: this.guardedReceipts() };
  }

  private guardedSessions(): SessionHandlers {
    const base = this.base.sessions;
    const guarded: Record<string, unknown> = { ...base };
    for (const [name, { to }] of Object.entries(sessionContract)) {
      if (to !== 'owner') continue;
      const handle = base[name as keyof SessionContract] as (args: unknown, call: IncomingCall) => unknown;
      guarded[name] = (args: { readonly clientId: string }, call: IncomingCall): unknown => {
        const hold = this.holds.get(args.clientId);
        return hold ? this.later(hold, () => handle(args, call)) : handle(args, call);
      };
    }
    return {
      ...(guarded as SessionHandlers),
      send: (args, call) => base.send(this.withoutIds(args, call), call),
      broadcast: (args, call) => base.broadcast(this.without(args, call), call),
      sendToUid: (args, call) => base.sendToUid(this.without(args, call), call),
      sendToGroup: (args, call) => base.sendToGroup(this.without(args, call), call),
    };
  }

  private guardedReceipts(): ReceiptHandlers {
    const base = this.base.receipts;
    return {
      send: (args, call) => base.send(this.withoutIds(args, call), call),
      broadcast: (args, call) => base.broadcast(this.without(args, call), call),
      sendToUid: (args, call) => base.sendToUid(this.without(args, call), call),
      sendToGroup: (args, call) => base.sendToGroup(this.without(args, call), call),
    };
  }

  private guardedPushes(): PushHandlers {
    const base = this.base.pushes;
    return {
      one: (message, call) => {
        const excluded = this.excludedFor(call);
        const agent = excluded && this.hub.withSerial(message.serial);
        if (!agent || !excluded.has(agent.sessionState.origin.sessionId)) base.one(message, call);
      },
    };
  }

  private async later(hold: Hold, run: () => unknown): Promise<unknown> {
    const movedTo = await hold.end;
    if (movedTo !== undefined) throw new GateError('SESSION_NOT_FOUND', undefined, { movedTo });
    return run();
  }

  private excludedFor({ peer }: IncomingCall): ReadonlyMap<string, ClientAgent> | undefined {
    const excluded = this.excluded.get(peer);
    return excluded && excluded.size > 0 ? excluded : undefined;
  }

  private withoutIds<A extends { readonly clientIds: readonly string[] }>(args: A, call: IncomingCall): A {
    const excluded = this.excludedFor(call);
    return excluded ? { ...args, clientIds: args.clientIds.filter(id => !excluded.has(id)) } : args;
  }

  private without<A extends { readonly except?: readonly string[] | undefined }>(args: A, call: IncomingCall): A {
    const excluded = this.excludedFor(call);
    return excluded ? { ...args, except: [...(args.except ?? []), ...excluded.keys()] } : args;
  }
}
