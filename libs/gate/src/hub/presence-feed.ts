import {
  type LinkNode,
  type Peer,
  PRESENCE_MARK_MS,
  presenceContract,
  type PresenceNotice,
  watchContract,
} from '@nestgate/link';
import { GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../connection/client-agent.js';
import type { MembershipEvents, Memberships } from './memberships.js';

/** What there is to be told of. */
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

  readonly ofUids: MembershipEvents<ClientAgent> = {
    onAppear: userId => this.tell(about('online', userId)),
    onVanish: userId => this.tell(about('offline', userId)),
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
        // Services that only call gates have nobody to tell.
        if (peer.info.role === 'api') throw new GateError('FORBIDDEN');
        this.forget(peer);
        if (isOn) this.begin(peer);
      },
    });
    node.onPeer(change => {
      if ('id' in change) for (const peer of this.watchers.keys()) if (peer.info.id === change.id) this.forget(peer);
    });
  }

  /** Tells of all that is here now; what changes later comes after it. */
  private begin(watcher: Peer): void {
    this.watchers.set(watcher, 0);
    const mark = this.node.defects.guard('presence.mark', () => this.tell(about('mark')));
    this.timer ??= setInterval(mark, PRESENCE_MARK_MS).unref();
    this.notify(watcher, about('reset'));
    for (const userId of this.present.uids.names()) this.notify(watcher, about('online', userId));
    for (const group of this.present.groups.names()) {
      for (const agent of this.present.groups.members(group)) this.notify(watcher, member('join', group, agent));
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
    this.node.notify(watcher, presenceContract.notice, { ...change, number });
  }
}

function about(kind: PresenceNotice['kind'], userId = ''): Change {
  return { kind, group: '', clientId: '', userId };
}

function member(kind: 'join' | 'leave', group: string, { sessionState }: ClientAgent): Change {
  return { kind, group, clientId: sessionState.origin.sessionId, userId: sessionState.userId };
}
