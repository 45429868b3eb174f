import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  type ArgsOf,
  type Peer,
  revocationContract,
  type RevocationNotice,
  type SessionContract,
} from '@nestgate/link/internal';
import { CLOSE, GateError, isName } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { Hub } from '../hub/hub.js';
import { REVOKED, Revocations } from './revocations.js';

/** Default time for which older credentials are refused, in milliseconds: a day. */
const DEFAULT_FOR_MS = 86_400_000;
/** The longest time that can be asked for, in milliseconds: 30 days. */
const MAX_FOR_MS = 30 * 86_400_000;
/** Notices in one message. */
const NOTICES_AT_ONCE = 1_000;

/**
 * Closes the clients of revoked uids on this gate, and sends the revocations to gates that connect later: after a restart, or after they
 * were unreachable.
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
        const peer = change.type === 'join' ? this.node.remotes.get(change.node.id) : undefined;
        if (peer) this.tell([peer]);
      }),
      this.node.onStatus(isUp => {
        if (isUp) this.tell(this.node.remotes.values());
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

  /** When the credentials of a bound client were issued, where that is known. */
  issuedAt(agent: ClientAgent): number | undefined {
    return this.issued.get(agent);
  }

  /** A client is bound no more. */
  forget(agent: ClientAgent): void {
    this.issued.delete(agent);
  }

  /**
   * Closes all clients of these uids except the excluded ones, and refuses older credentials. Returns the number of closed clients.
   * @throws {GateError} `BAD_ARGUMENT`; then nothing has changed.
   */
  revoke({ uids, before = Date.now(), forMs = DEFAULT_FOR_MS, except }: ArgsOf<SessionContract['revoke']>): number {
    if (!Number.isFinite(before) || !(forMs >= 1 && forMs <= MAX_FOR_MS)) {
      throw new GateError('BAD_ARGUMENT', `Credentials can be revoked for 1 to ${MAX_FOR_MS} ms`);
    }
    const spared = except && this.hub.present(except);
    for (const userId of uids) this.revocations.add({ userId, before, leftMs: forMs });
    // A copy, because closed clients leave the index.
    const members = [...this.hub.union(this.hub.uids, uids)].filter(agent => !spared?.has(agent));
    for (const agent of members) close(agent);
    return members.length;
  }

  /** Applies revocations of another gate: closes clients whose credentials are older. */
  private learn(notice: RevocationNotice | null): void {
    if (!notice) return;
    const { userId, before, leftMs, agoMs = 0 } = notice;
    if (!isName(userId) || !Number.isFinite(before) || !(leftMs > 0 && leftMs <= MAX_FOR_MS)) return;
    if (!(agoMs >= 0 && agoMs <= MAX_FOR_MS)) return;
    if (!this.revocations.add(notice)) return;
    const saidAt = performance.now() - agoMs;
    for (const agent of this.hub.uids.members(userId)) {
      // Credentials without an issue time are as old as the connection, by the monotonic clock of this gate; the clock of the
      // revoking node cannot be compared with it.
      const issuedAt = this.issued.get(agent);
      if (issuedAt === undefined ? agent.openedAt < saidAt : issuedAt < before) close(agent);
    }
  }

  /** Tells gates what this one remembers. */
  tell(peers: Iterable<Peer>): void {
    const gates = [...peers].filter(peer => peer.info.role === 'gate');
    if (gates.length === 0 || this.revocations.size === 0) return;
    const notices = this.revocations.notices();
    for (let at = 0; at < notices.length; at += NOTICES_AT_ONCE) {
      const some = notices.slice(at, at + NOTICES_AT_ONCE);
      for (const gate of gates) gate.notify(revocationContract.revocations, some);
    }
  }
}

function close(agent: ClientAgent): void {
  agent.close(CLOSE.policy.code, REVOKED);
}
