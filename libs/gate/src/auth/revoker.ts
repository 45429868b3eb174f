import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import {
  type ArgsOf,
  LinkNode,
  type Peer,
  revocationContract,
  type RevocationNotice,
  type SessionContract,
} from '@nestgate/link';
import { CLOSE, GateError, isName } from '@nestgate/protocol';
import type { ClientAgent } from '../connection/client-agent.js';
import { Hub } from '../hub/hub.js';
import { REVOKED, Revocations } from './revocations.js';

/** For how long credentials that were issued before are refused, unless the caller says otherwise, in milliseconds: a day. */
const DEFAULT_FOR_MS = 86_400_000;
/** The longest time that can be asked for, in milliseconds: 30 days. */
const MAX_FOR_MS = 30 * 86_400_000;
/** Notices in one message. */
const NOTICES_AT_ONCE = 1_000;

/**
 * Ends the clients of revoked uids on this gate, and sees to it that gates that were not there when it was said hear of it
 * when they come: one that has been restarted, or was out of reach.
 */
@Injectable()
export class Revoker implements OnModuleInit, OnModuleDestroy {
  private readonly listening: (() => void)[] = [];
  /** When the credentials of a bound client were issued, where that is known; in milliseconds since the epoch. */
  private readonly issued = new Map<ClientAgent, number>();

  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly revocations: Revocations,
  ) {}

  onModuleInit(): void {
    this.node.dispatcher.serve(revocationContract, {
      revocations: (notices, { peer }) => {
        if (peer.info.role !== 'gate' || !Array.isArray(notices)) return;
        for (const notice of notices) this.learn(notice);
      },
    });
    this.listening.push(
      this.node.onPeer(change => {
        const peer = change.type === 'join' ? this.node.peers.get(change.node.id) : undefined;
        if (peer) this.tell([peer]);
      }),
      this.node.onStatus(isUp => {
        if (isUp) this.tell(this.node.peers.values());
      }),
    );
  }

  onModuleDestroy(): void {
    for (const stop of this.listening.splice(0)) stop();
  }

  /** A client has been bound with credentials of this moment. */
  note(agent: ClientAgent, issuedAt: number | undefined): void {
    if (issuedAt === undefined || agent.isClosed) this.issued.delete(agent);
    else this.issued.set(agent, issuedAt);
  }

  /** A client is bound no more. */
  forget(agent: ClientAgent): void {
    this.issued.delete(agent);
  }

  /**
   * Closes all clients of these uids but the excepted ones, and refuses what was issued before. Returns how many were closed.
   * @throws {GateError} `BAD_ARGUMENT`, and nothing has changed.
   */
  revoke({ uids, before = Date.now(), forMs = DEFAULT_FOR_MS, except }: ArgsOf<SessionContract['revoke']>): number {
    if (!Number.isFinite(before) || !(forMs >= 1 && forMs <= MAX_FOR_MS)) {
      throw new GateError('BAD_ARGUMENT', `Credentials can be revoked for 1 to ${MAX_FOR_MS} ms`);
    }
    const spared = except && this.hub.present(except);
    for (const userId of uids) this.revocations.add({ userId, before, leftMs: forMs });
    // A copy: who is closed leaves the index.
    const members = [...this.hub.union(this.hub.uids, uids)].filter(agent => !spared?.has(agent));
    for (const agent of members) close(agent);
    return members.length;
  }

  /** Another gate has heard of a revocation. Those that were let in before are ended, as they would have been then. */
  private learn(notice: RevocationNotice | null): void {
    if (!notice) return;
    const { userId, before, leftMs, agoMs = 0 } = notice;
    if (!isName(userId) || !Number.isFinite(before) || !(leftMs > 0 && leftMs <= MAX_FOR_MS)) return;
    if (!(agoMs >= 0 && agoMs <= MAX_FOR_MS)) return;
    if (!this.revocations.add(notice)) return;
    const saidAt = performance.now() - agoMs;
    for (const agent of this.hub.uids.members(userId)) {
      // Of which it is not known when they were issued, credentials are as old as the connection. The clock of the node that
      // has revoked them says nothing about that.
      const issuedAt = this.issued.get(agent);
      if (issuedAt === undefined ? agent.openedAt < saidAt : issuedAt < before) close(agent);
    }
  }

  /** Tells gates what this one remembers. */
  tell(peers: Iterable<Peer>): void {
    const gates = [...peers].filter(peer => peer.info.role === 'gate' && !peer.isSelf);
    if (gates.length === 0 || this.revocations.size === 0) return;
    const notices = this.revocations.notices();
    for (let at = 0; at < notices.length; at += NOTICES_AT_ONCE) {
      const some = notices.slice(at, at + NOTICES_AT_ONCE);
      for (const gate of gates) this.node.notify(gate, revocationContract.revocations, some);
    }
  }
}

function close(agent: ClientAgent): void {
  agent.close(CLOSE.policy.code, REVOKED);
}
