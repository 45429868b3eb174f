import type { LinkNode } from '@nestgate/link';
import {
  type Peer,
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceNotice,
  watchContract,
} from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import type { MembershipEvents, Memberships } from './memberships.js';

/** Source of the presence. */
interface Present {
  readonly uids: Memberships<ClientAgent>;
  readonly groups: Memberships<ClientAgent>;
}

/** A notice that has no number yet: each watcher has numbers of its own. */
type Change = Omit<PresenceNotice, 'number'>;

/** Tells workers that watch this gate which uids are online here, and who is in which group. Costs nothing while none does. */
export class PresenceFeed {
  /** How many notices each watcher was sent since its last `reset`. */
  private readonly watchers = new Map<Peer, number>();
  private timer: NodeJS.Timeout | undefined;

  /** Clients that count as gone until their session is resumed (`resume.presence` is `drop`). */
  private readonly away = new Set<ClientAgent>();

  readonly ofUids: MembershipEvents<ClientAgent> = {
    onAppear: () => undefined,
    onVanish: () => undefined,
    onJoin: (userId, agent) => {
      if (this.watchers.size > 0 && this.isOnlyOne(userId, agent)) this.tell(about('online', userId));
    },
    onLeave: (userId, agent) => {
      if (this.watchers.size > 0 && this.isOnlyOne(userId, agent)) this.tell(about('offline', userId));
    },
  };

  readonly ofGroups: MembershipEvents<ClientAgent> = {
    onAppear: () => undefined,
    onVanish: () => undefined,
    onJoin: (group, agent) => this.watchers.size > 0 && this.isHere(agent) && this.tell(member('join', group, agent)),
    onLeave: (group, agent) => this.watchers.size > 0 && this.isHere(agent) && this.tell(member('leave', group, agent)),
  };

  constructor(
    private readonly node: LinkNode,
    private readonly present: Present,
  ) {
    node.dispatcher.serve(watchContract, {
      watch: ({ isOn }, { peer }) => {
        // Services do not subscribe to presence.
        if (peer.info.role === 'api') throw new GateError('FORBIDDEN');
        this.forget(peer);
        if (isOn) this.begin(peer);
      },
    });
    node.onPeer(change => {
      if ('id' in change) for (const peer of this.watchers.keys()) if (peer.info.id === change.id) this.forget(peer);
    });
  }

  /** A client counts as gone, though it is still in all indexes. */
  noteAway(agent: ClientAgent): void {
    if (this.away.has(agent)) return;
    this.tellMoves('leave', agent);
    this.away.add(agent);
  }

  /** It has left for good. */
  forgetAway(agent: ClientAgent): void {
    this.away.delete(agent);
  }

  /** It is back. */
  noteBack(agent: ClientAgent): void {
    if (this.away.delete(agent)) this.tellMoves('join', agent);
  }

  private tellMoves(kind: 'join' | 'leave', agent: ClientAgent): void {
    if (this.watchers.size === 0) return;
    const { userId } = agent.sessionState;
    for (const group of this.present.groups.namesOf(agent)) this.tell(member(kind, group, agent));
    if (this.present.uids.namesOf(agent).size > 0 && this.isOnlyOne(userId, agent)) {
      this.tell(about(kind === 'join' ? 'online' : 'offline', userId));
    }
  }

  private isHere(agent: ClientAgent): boolean {
    return !this.away.has(agent);
  }

  private hasHere(agents: ReadonlySet<ClientAgent>): boolean {
    if (this.away.size === 0) return agents.size > 0;
    for (const agent of agents) if (this.isHere(agent)) return true;
    return false;
  }

  /** Whether this client is here, and no other one of the uid is. */
  private isOnlyOne(userId: string, agent: ClientAgent): boolean {
    if (!this.isHere(agent)) return false;
    for (const other of this.present.uids.members(userId)) if (other !== agent && this.isHere(other)) return false;
    return true;
  }

  /** Sends the complete presence; later changes follow. */
  private begin(watcher: Peer): void {
    this.watchers.set(watcher, 0);
    const mark = this.node.defects.guard('presence.mark', () => this.tell(about('mark')));
    this.timer ??= setInterval(mark, PRESENCE_MARK_MS).unref();
    this.notify(watcher, about('reset'));
    const { uids, groups } = this.present;
    for (const userId of uids.names()) {
      if (this.hasHere(uids.members(userId))) this.notify(watcher, about('online', userId));
    }
    for (const group of groups.names()) {
      for (const agent of groups.members(group)) {
        if (this.isHere(agent)) this.notify(watcher, member('join', group, agent));
      }
    }
    this.notify(watcher, about('ready'));
  }

  private forget(watcher: Peer): void {
    this.watchers.delete(watcher);
    if (this.watchers.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private tell(change: Change): void {
    for (const watcher of this.watchers.keys()) this.notify(watcher, change);
  }

  /** A notice that cannot be sent has its number all the same: that is how the watcher notices. */
  private notify(watcher: Peer, change: Change): void {
    const number = (this.watchers.get(watcher) ?? 0) + 1;
    this.watchers.set(watcher, number);
    watcher.notify(presenceContract.notice, { ...change, number });
  }
}

function about(kind: PresenceNotice['kind'], userId = ''): Change {
  return { kind, group: '', clientId: '', userId };
}

function member(kind: 'join' | 'leave', group: string, { sessionState }: ClientAgent): Change {
  return { kind, group, clientId: sessionState.origin.sessionId, userId: sessionState.userId };
}
