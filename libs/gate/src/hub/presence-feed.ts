import { type LinkNode, type Peer, presenceContract, type PresenceNotice, watchContract } from '@nestgate/link';
import type { ClientAgent } from '../connection/client-agent.js';
import type { MembershipEvents, Memberships } from './memberships.js';

/** What there is to be told of. */
interface Present {
  readonly uids: Memberships<ClientAgent>;
  readonly groups: Memberships<ClientAgent>;
}

/** Tells workers that watch this gate which uids are online here, and who is in which group. Costs nothing while none does. */
export class PresenceFeed {
  private readonly watchers = new Set<Peer>();

  readonly ofUids: MembershipEvents<ClientAgent> = {
    onAppear: userId => this.tell({ kind: 'online', group: '', clientId: '', userId }),
    onVanish: userId => this.tell({ kind: 'offline', group: '', clientId: '', userId }),
  };

  readonly ofGroups: MembershipEvents<ClientAgent> = {
    onAppear: () => undefined,
    onVanish: () => undefined,
    onJoin: (group, agent) => this.watchers.size > 0 && this.tell(member('join', group, agent)),
    onLeave: (group, agent) => this.watchers.size > 0 && this.tell(member('leave', group, agent)),
  };

  constructor(
    private readonly node: LinkNode,
    private readonly present: Present,
  ) {
    node.dispatcher.serve(watchContract, {
      watch: ({ isOn }, { peer }) => {
        this.watchers.delete(peer);
        if (isOn) this.begin(peer);
      },
    });
    node.onPeer(change => {
      if ('id' in change) for (const peer of this.watchers) if (peer.info.id === change.id) this.watchers.delete(peer);
    });
  }

  /** Tells of all that is here now; what changes later comes after it. */
  private begin(watcher: Peer): void {
    this.watchers.add(watcher);
    const tell = (notice: PresenceNotice): void => this.node.notify(watcher, presenceContract.notice, notice);
    tell({ kind: 'reset', group: '', clientId: '', userId: '' });
    for (const userId of this.present.uids.names()) tell({ kind: 'online', group: '', clientId: '', userId });
    for (const group of this.present.groups.names()) {
      for (const agent of this.present.groups.members(group)) tell(member('join', group, agent));
    }
    tell({ kind: 'ready', group: '', clientId: '', userId: '' });
  }

  private tell(notice: PresenceNotice): void {
    for (const watcher of this.watchers) this.node.notify(watcher, presenceContract.notice, notice);
  }
}

function member(kind: 'join' | 'leave', group: string, { sessionState }: ClientAgent): PresenceNotice {
  return { kind, group, clientId: sessionState.origin.sessionId, userId: sessionState.userId };
}
