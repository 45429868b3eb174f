import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { NodeId, NodeInfo, NodeRole, PeerChange } from '../../../link.js';
import { NatsIdLease, NO_RESPONDERS } from './nats-id-lease.js';
import { controlPart, NatsFragments, type NatsPart, reachPart, readPart } from '../nats-fragments.js';
import type { NatsLinkConnection } from '../connection/nats-link-connection.js';
import { type NatsMember, writeMember } from './nats-member.js';
import { NatsMemberTable, type NatsMemberTableHost } from './nats-member-table.js';
import { NatsReach, type NatsReachHost } from './nats-reach.js';
import { channelSubject, NatsSubjects, NODE_ROLES } from '../nats-subjects.js';
import type { NatsWarnings } from '../connection/nats-warnings.js';

/** Events that the membership reports to its link. */
export interface NatsMembershipEvents {
  onFrame(from: NodeId, frame: Buffer): void;
  onPeer(change: PeerChange): void;
  /** A node has sent information about itself. */
  onSign(): void;
  /** A timer's callback has thrown. Never throws. */
  onDefect(error: unknown, where: string): void;
}

/** The cluster as one node sees it: knows the other nodes and dispatches messages that arrive for this one. */
export class NatsMembership implements NatsMemberTableHost, NatsReachHost {
  readonly members: NatsMemberTable;
  readonly fragments = new NatsFragments();
  /** Messages that were malformed, or did not carry the tag of a peer's current session with this node. */
  dropped = 0;
  private readonly subjects: NatsSubjects;
  private readonly lease: NatsIdLease;
  private readonly reach = new NatsReach(this);

  constructor(
    private self: NodeInfo,
    private readonly namespace: string,
    private readonly connection: NatsLinkConnection,
    private readonly warnings: NatsWarnings,
    private readonly events: NatsMembershipEvents,
  ) {
    this.subjects = new NatsSubjects(namespace, self);
    this.members = new NatsMemberTable(self, this.subjects, this);
    this.lease = new NatsIdLease(self, this.subjects, connection.subscriptions);
  }

  /**
   * Acquires the id, subscribes, and asks the other nodes to introduce themselves. Can be repeated after a broken connection.
   * @throws {GateError} `BAD_ARGUMENT` when another node holds the id.
   */
  async enter(nats: NatsConnection): Promise<void> {
    const { subjects, self } = this;
    const { subscriptions } = this.connection;
    await this.lease.acquire(nats);
    subscriptions.add(subjects.anyLost, msg => this.noteLost(msg));
    for (const role of NODE_ROLES) subscriptions.add(subjects.inbox(role), msg => this.receive(msg, role));
    for (const role of subjects.heardRoles) {
      subscriptions.add(subjects.info(role), msg => this.noteInfo(role, msg));
      subscriptions.add(subjects.bye(role), msg => this.members.noteBye(role, bytesOf(msg)));
    }
    if (self.role === 'gate') this.join('*');
    this.introduce(true);
  }

  announce(self: NodeInfo): void {
    this.self = self;
    this.members.announce(self);
    this.introduce(false);
  }

  /** Publishes the information of this node. With `asks`, the other nodes reply with theirs. */
  introduce(asks: boolean): void {
    const { subjects, self } = this;
    this.connection.say(subjects.info(self.role), writeMember(self, this.server), asks ? subjects.asks : undefined);
  }

  leave(): void {
    this.reach.stop();
    this.connection.say(this.subjects.bye(this.self.role), JSON.stringify(this.self));
  }

  /** Subscribes to casts on a channel. */
  join(channel: string): void {
    this.connection.subscriptions.add(channelSubject(this.namespace, channel), msg => this.receive(msg, undefined));
  }

  /** Settles when casts from every node reach this one on all channels joined so far. */
  whenReached(): Promise<void> {
    return this.reach.whenReached();
  }

  // Implementation of the host interfaces of the member table and of `NatsReach`.

  get server(): string {
    return this.connection.server;
  }

  others(): ReadonlyMap<string, NatsMember> {
    return this.members.onOtherServers();
  }

  sendReach(member: NatsMember, body: Buffer): void {
    this.connection.say(member.subject, reachPart(member.head, body), member.lost);
  }

  onDefect(error: unknown): void {
    this.events.onDefect(error, 'nats.reach');
  }

  post(member: NatsMember, body: Buffer): void {
    this.connection.say(member.subject, controlPart(member.head, body), member.lost);
  }

  onPeer(change: PeerChange): void {
    if ('id' in change) this.fragments.forget(change.id);
    this.events.onPeer(change);
  }

  warn(kind: string, message: string): void {
    this.warnings.warn(kind, message);
  }

  private noteInfo(role: NodeRole, msg: Msg): void {
    this.members.noteInfo(role, bytesOf(msg), Boolean(msg.reply));
    this.events.onSign();
  }

  private noteLost(msg: Msg): void {
    if (msg.headers?.code === NO_RESPONDERS) this.members.noteGone(this.subjects.lostNode(msg.subject));
  }

  /** A message to this node from a node of a role, or a cast. */
  private receive(msg: Msg, role: NodeRole | undefined): void {
    const part = readPart(msg.data);
    if (!part) {
      this.dropped++;
    } else if (part.isControl) {
      if (role === undefined) return;
      if (part.isReach) {
        this.receiveReach(part, role);
        return;
      }
      this.members.noteControl(role, part);
      this.events.onSign();
    } else if (this.members.admits(part, role)) {
      const frame = this.fragments.add(part);
      if (frame) this.events.onFrame(part.from, frame);
    } else {
      this.dropped++;
      this.members.noteStranger(part, role);
    }
  }

  private receiveReach(part: NatsPart, role: NodeRole): void {
    const member = this.members.admits(part, role) ? this.members.reachable(part.from) : undefined;
    if (member) this.reach.receive(member, part.bytes);
  }
}

function bytesOf({ data }: Msg): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.length);
}
