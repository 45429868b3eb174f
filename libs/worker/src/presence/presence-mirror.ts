import type { ClientId, NodeId } from '@nestgate/link';
import type { PresenceNotice } from '@nestgate/link/internal';
import type { PresenceEvent } from './on-presence.decorator.js';

/** What a gate has told, in the order in which it has told it. */
type Notice = Omit<PresenceNotice, 'number'>;

/** Who is on one gate. */
class GatePresence {
  readonly uids = new Set<string>();
  /** The uids of the members of each group, by client id. */
  readonly groups = new Map<string, Map<ClientId, string>>();

  apply({ kind, group, clientId, userId }: Notice): boolean {
    switch (kind) {
      case 'online':
        return this.uids.size < this.uids.add(userId).size;
      case 'offline':
        return this.uids.delete(userId);
      case 'join':
        return this.join(group, clientId, userId);
      case 'leave':
        return this.leave(group, clientId);
      default:
        return false;
    }
  }

  /** All that is here, as the notices that would make it so. */
  *notices(): Iterable<Notice> {
    for (const userId of this.uids) yield { kind: 'online', group: '', clientId: '', userId };
    for (const [group, members] of this.groups) {
      for (const [clientId, userId] of members) yield { kind: 'join', group, clientId, userId };
    }
  }

  has({ kind, group, clientId, userId }: Notice): boolean {
    return kind === 'online' ? this.uids.has(userId) : (this.groups.get(group)?.has(clientId) ?? false);
  }

  private join(group: string, clientId: ClientId, userId: string): boolean {
    let members = this.groups.get(group);
    if (!members) this.groups.set(group, (members = new Map()));
    if (members.has(clientId)) return false;
    members.set(clientId, userId);
    return true;
  }

  private leave(group: string, clientId: ClientId): boolean {
    const members = this.groups.get(group);
    if (!members?.delete(clientId)) return false;
    if (members.size === 0) this.groups.delete(group);
    return true;
  }
}

/**
 * Presence of each gate, as reported to a worker. Reports the changes for the whole cluster: a uid that comes to a
 * second gate has been online before. A gate that begins again is compared with what was known of it, so that nothing is told
 * twice and nothing is missed.
 */
export class PresenceMirror {
  private readonly gates = new Map<NodeId, GatePresence>();
  /** What a gate that has begun again has told so far. */
  private readonly beginning = new Map<NodeId, GatePresence>();
  /** On how many gates a uid is. */
  private readonly gatesOf = new Map<string, number>();

  constructor(private readonly emit: (event: PresenceEvent) => void) {}

  take(gate: NodeId, notice: Notice): void {
    const begun = this.beginning.get(gate);
    if (notice.kind === 'reset') {
      this.beginning.set(gate, new GatePresence());
    } else if (notice.kind === 'ready') {
      this.beginning.delete(gate);
      if (begun) this.replace(gate, begun);
    } else if (begun) {
      begun.apply(notice);
    } else if (this.gates.get(gate)?.apply(notice)) {
      this.tell(gate, notice, false);
    }
  }

  /** The gate is gone, and everybody on it. */
  drop(gate: NodeId): void {
    const known = this.gates.get(gate);
    this.beginning.delete(gate);
    this.gates.delete(gate);
    for (const notice of known?.notices() ?? []) this.tell(gate, opposite(notice), false);
  }

  private replace(gate: NodeId, present: GatePresence): void {
    const known = this.gates.get(gate);
    this.gates.set(gate, present);
    for (const notice of known?.notices() ?? []) if (!present.has(notice)) this.tell(gate, opposite(notice), false);
    for (const notice of present.notices()) if (!known?.has(notice)) this.tell(gate, notice, !known);
  }

  private tell(gate: NodeId, { kind, group, clientId, userId }: Notice, isInitial: boolean): void {
    if (kind === 'join' || kind === 'leave') {
      if (!this.isElsewhere(gate, group, clientId)) this.emit({ type: kind, group, clientId, userId, isInitial });
    } else if (kind === 'online') {
      const gates = (this.gatesOf.get(userId) ?? 0) + 1;
      this.gatesOf.set(userId, gates);
      if (gates === 1) this.emit({ type: 'online', userId, isInitial });
    } else if (kind === 'offline') {
      const gates = (this.gatesOf.get(userId) ?? 1) - 1;
      if (gates > 0) {
        this.gatesOf.set(userId, gates);
        return;
      }
      this.gatesOf.delete(userId);
      this.emit({ type: 'offline', userId, isInitial });
    }
  }

  /** Whether a client is in a group on another gate too: its session is moving, and is counted once. */
  private isElsewhere(gate: NodeId, group: string, clientId: ClientId): boolean {
    for (const [id, { groups }] of this.gates) if (id !== gate && groups.get(group)?.has(clientId)) return true;
    return false;
  }
}

function opposite(notice: Notice): Notice {
  return { ...notice, kind: notice.kind === 'online' ? 'offline' : 'leave' };
}
