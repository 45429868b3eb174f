import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { NodeId, NodeInfo, NodeRole, PeerChange } from '../link.js';
import { NatsClaim, NO_RESPONDERS } from './nats-claim.js';
import { controlPart, NatsFragments, type NatsPart, reachPart, readPart } from './nats-fragments.js';
import type { NatsLine } from './nats-line.js';
import { type NatsMember, writeMember } from './nats-member.js';
import { NatsMembers, type NatsMembersHost } from './nats-members.js';
import { NatsReach, type NatsReachHost } from './nats-reach.js';
import { channelSubject, NatsSubjects, NODE_ROLES } from './nats-subjects.js';
import type { NatsWarnings } from './nats-warnings.js';

/** What a room tells its link. */
export interface NatsRoomEvents {
  onFrame(from: NodeId, frame: Buffer): void;
  onPeer(change: PeerChange): void;
  /** A node has said something of itself. */
  onSign(): void;
  /** A timer's callback has thrown. Never throws. */
  onDefect(error: unknown, where: string): void;
}

/** The cluster as one node sees it: who is there, and what of the traffic is for it. */
export class NatsRoom implements NatsMembersHost, NatsReachHost {
  readonly members: NatsMembers;
  readonly fragments = new NatsFragments();
  /** Messages that were malformed, or did not come from a peer under the tag of its meeting with this node. */
  dropped = 0;
  private readonly subjects: NatsSubjects;
  private readonly claim: NatsClaim;
  private readonly reach = new NatsReach(this);

  constructor(
    private self: NodeInfo,
    private readonly namespace: string,
    private readonly line: NatsLine,
    private readonly warnings: NatsWarnings,
    private readonly events: NatsRoomEvents,
  ) {
    this.subjects = new NatsSubjects(namespace, self);
    this.members = new NatsMembers(self, this.subjects, this);
    this.claim = new NatsClaim(self, this.subjects, line.interest);
  }

  /**
   * Takes the id, listens, and asks who is there. Can be called again when the connection has broken meanwhile.
   * @throws {GateError} `BAD_ARGUMENT` when another node has the id.
   */
  async enter(nats: NatsConnection): Promise<void> {
    const { subjects, self } = this;
    const { interest } = this.line;
    await this.claim.take(nats);
    interest.add(subjects.anyLost, msg => this.noteLost(msg));
    for (const role of NODE_ROLES) interest.add(subjects.inbox(role), msg => this.receive(msg, role));
    for (const role of subjects.heardRoles) {
      interest.add(subjects.info(role), msg => this.noteInfo(role, msg));
      interest.add(subjects.bye(role), msg => this.members.noteBye(role, bytesOf(msg)));
    }
    if (self.role === 'gate') this.join('*');
    this.introduce(true);
  }

  announce(self: NodeInfo): void {
    this.self = self;
    this.members.announce(self);
    this.introduce(false);
  }

  /** Tells everybody who this is; with `asks`, they tell in return. */
  introduce(asks: boolean): void {
    const { subjects, self } = this;
    this.line.say(subjects.info(self.role), writeMember(self, this.server), asks ? subjects.asks : undefined);
  }

  leave(): void {
    this.reach.stop();
    this.line.say(this.subjects.bye(this.self.role), JSON.stringify(this.self));
  }

  /** Hears casts to a channel. */
  join(channel: string): void {
    this.line.interest.add(channelSubject(this.namespace, channel), msg => this.receive(msg, undefined));
  }

  /** Settles when casts of every node reach this one, on all channels that it has joined so far. */
  whenReached(): Promise<void> {
    return this.reach.whenReached();
  }

  // What the members and the reach need.

  get server(): string {
    return this.line.server;
  }

  others(): ReadonlyMap<string, NatsMember> {
    return this.members.onOtherServers();
  }

  sendReach(member: NatsMember, body: Buffer): void {
    this.line.say(member.subject, reachPart(member.head, body), member.lost);
  }

  onDefect(error: unknown): void {
    this.events.onDefect(error, 'nats.reach');
  }

  post(member: NatsMember, body: Buffer): void {
    this.line.say(member.subject, controlPart(member.head, body), member.lost);
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
