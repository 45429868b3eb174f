import type { NodeId, NodeInfo, NodeRole, PeerChange } from '../../../link.js';
import { type NatsPart, partHead } from '../nats-fragments.js';
import { NatsMember, readMember, readServer, writeMember } from './nats-member.js';
import type { NatsSubjects } from '../nats-subjects.js';

/** How often a node says that it lives, in milliseconds. */
export const HEARTBEAT_MS = 1_000;
/** Three missing signs of life are death. */
const DEAD_MS = 3_500;
/** A look around that comes so much too late, in milliseconds, says more about this node than about the others. */
const LATE_MS = 1_000;
/** How often a second node must say that it has the id of a living one until it is worth a warning. */
const RIVAL_COUNT = 4;
const ECHO_BYTES = 4;

/** What the members of a cluster need of the link. */
export interface NatsMemberTableHost {
  /** Sends a control message. When nobody listens any more, {@link NatsMemberTable.noteGone} is told. */
  post(member: NatsMember, body: Buffer): void;
  onPeer(change: PeerChange): void;
  warn(kind: string, message: string): void;
  /** The id of the server that this node is connected to. */
  readonly server: string;
}

/**
 * The other nodes. Two nodes become peers by a handshake: each sends the other a tag and then marks its frames with it. A node
 * that loses a peer starts a new handshake with another tag, whereupon the peer also drops the old state. Both sides start
 * together, and frames of an earlier handshake are never accepted in a later one.
 *
 *     control message = u32 echo: the tag that is answered, 0 for a query · information of the sender
 */
export class NatsMemberTable {
  /** What casts of this node begin with. */
  castHead: Buffer;
  /** Those that this node has met. */
  readonly peers = new Map<NodeId, NodeInfo>();
  private readonly members = new Map<NodeId, NatsMember>();
  /** Those that were lost while this node itself was cut off. */
  private readonly awaited = new Set<NodeId>();
  private lastTag = 0;
  private generation = 1;
  private lookedAt = performance.now();

  constructor(
    private self: NodeInfo,
    private readonly subjects: NatsSubjects,
    private readonly host: NatsMemberTableHost,
  ) {
    this.castHead = partHead(self, 0, this.generation);
  }

  announce(self: NodeInfo): void {
    this.self = self;
  }

  /** A node that this one has met, and that has been heard of since the connection came back. */
  reachable(id: NodeId): NatsMember | undefined {
    const member = this.members.get(id);
    return member?.theirTag === undefined || member.isStale ? undefined : member;
  }

  /**
   * Whether a frame comes from a peer, out of this meeting; casts are of no meeting. What a server that hung still had of an
   * earlier connection of the sender would come after what was sent later.
   */
  admits({ from, epoch, tag, generation }: NatsPart, role: NodeRole | undefined): boolean {
    const member = this.members.get(from);
    if (member?.theirTag === undefined || member.info.epoch !== epoch) return false;
    if (role !== undefined && (member.info.role !== role || member.theirTag !== tag)) return false;
    return member.isLatest(generation);
  }

  /**
   * A frame that was not admitted. When it is of a later meeting than this node knows of, the other one has begun again, and
   * what it said of that was lost.
   */
  noteStranger({ from, epoch, tag }: NatsPart, role: NodeRole | undefined): void {
    const member = this.members.get(from);
    if (member?.info.epoch === epoch && member.info.role === role) this.catchUp(member, tag);
  }

  /** What a node of a role says to all. With `asks`, it wants to hear from everybody. */
  noteInfo(role: NodeRole, bytes: Buffer, asks: boolean): void {
    const node = this.read(role, bytes);
    if (!node || this.isRival(node)) return;
    this.hear(node, asks);
    this.noteServer(node, bytes);
  }

  /** What a node of a role says to this one. */
  noteControl(role: NodeRole, part: NatsPart): void {
    if (part.bytes.length < ECHO_BYTES) return;
    const node = this.read(role, part.bytes.subarray(ECHO_BYTES));
    if (!node || node.id !== part.from || node.epoch !== part.epoch || this.isRival(node)) return;
    if (this.members.get(node.id)?.isLatest(part.generation) === false) return;
    const echo = part.bytes.readUInt32LE(0);
    if (echo === 0) this.meet(node, part.tag);
    else this.greet(node, echo, part.tag);
    this.noteServer(node, part.bytes.subarray(ECHO_BYTES));
    this.members.get(node.id)?.isLatest(part.generation);
  }

  /** Handles the leave message of a node. */
  noteBye(role: NodeRole, bytes: Buffer): void {
    const node = this.read(role, bytes);
    const known = node && this.members.get(node.id)?.info;
    if (known && known.epoch === node.epoch && known.role === role) this.lose(node.id, 'leave');
  }

  /** Nobody listens where this boot of a node did. */
  noteGone({ id, epoch }: Pick<NodeInfo, 'id' | 'epoch'>): void {
    const member = this.members.get(id);
    if (member?.info.epoch !== epoch) return;
    this.lose(id, 'lost');
    if (member.rival) this.hear(member.rival, false);
  }

  /**
   * Loses those of whom nothing was heard for too long. While this node is `deaf`, that is nobody's fault; those that are lost
   * while it is cut off are waited for when it is back.
   */
  lookAround(deaf: boolean, isCut = false): void {
    const now = performance.now();
    const excused = deaf || now - this.lookedAt > LATE_MS;
    this.lookedAt = now;
    for (const [id, member] of this.members) {
      if (excused) member.heardAt = now;
      else if (now - member.heardAt > DEAD_MS) {
        if (isCut && member.theirTag !== undefined) this.awaited.add(id);
        this.lose(id, 'lost');
      }
    }
  }

  /** The connection has come back: whether the others hear this node again is not known before they say something. */
  expectAll(): void {
    this.generation++;
    this.castHead = partHead(this.self, 0, this.generation);
    for (const member of this.members.values()) member.renew(this.generation);
  }

  /** Of each other server a node that is connected to it: the one that was heard last of those that can be reached. */
  onOtherServers(): Map<string, NatsMember> {
    const found = new Map<string, NatsMember>();
    for (const member of this.members.values()) {
      const { server, theirTag, isStale, heardAt } = member;
      if (server === '' || server === this.host.server || theirTag === undefined || isStale) continue;
      if (heardAt > (found.get(server)?.heardAt ?? Number.NEGATIVE_INFINITY)) found.set(server, member);
    }
    return found;
  }

  /** How many of those that were there before the connection broke have not been heard of since. */
  get staleCount(): number {
    let count = this.awaited.size;
    for (const { isStale, theirTag } of this.members.values()) if (isStale && theirTag !== undefined) count++;
    return count;
  }

  /** Those who have said nothing are lost. */
  loseStale(): void {
    this.awaited.clear();
    for (const [id, { isStale }] of this.members) if (isStale) this.lose(id, 'lost');
  }

  clear(): void {
    this.members.clear();
    this.peers.clear();
  }

  private noteServer({ id, epoch }: NodeInfo, bytes: Buffer): void {
    const member = this.members.get(id);
    if (member?.info.epoch === epoch) member.server = readServer(bytes);
  }

  private read(role: NodeRole, bytes: Buffer): NodeInfo | undefined {
    const node = readMember(bytes);
    if (!node) return undefined;
    if (node.role !== role) {
      this.host.warn('forged', `A ${role} says on the link that it is the ${node.role} ${node.id}: it is not believed`);
      return undefined;
    }
    if (node.id !== this.self.id) return node;
    this.host.warn('duplicate', `Another ${role} has the id of this node, "${node.id}"`);
    return undefined;
  }

  /** The one who is here keeps its id; whether it still is, the server knows. */
  private isRival(node: NodeInfo): boolean {
    const member = this.members.get(node.id);
    if (!member || (member.info.epoch === node.epoch && member.info.role === node.role)) return false;
    if (member.noteRival(node) >= RIVAL_COUNT) this.host.warn('rival', `Two nodes have the id "${node.id}"`);
    this.host.post(member, this.control(member.theirTag ?? 0));
    return true;
  }

  private hear(node: NodeInfo, asks: boolean): void {
    const member = this.members.get(node.id);
    if (!member) this.ask(this.admit(node));
    else if (member.theirTag === undefined) this.ask(member);
    else {
      this.refresh(member, node);
      if (asks) this.host.post(member, this.control(member.theirTag));
    }
  }

  /** Another node wants to meet this one, under its tag. */
  private meet(node: NodeInfo, theirTag: number): void {
    let member = this.members.get(node.id);
    if (member?.theirTag !== undefined) {
      // A question that was under way for long is not about the present.
      if (theirTag < member.theirTag) return;
      if (theirTag > member.theirTag) {
        this.lose(node.id, 'lost');
        member = undefined;
      }
    }
    member ??= this.admit(node);
    // The answer goes first: frames to a node that does not know this one yet would be lost.
    this.host.post(member, this.control(theirTag));
    this.join(member, node, theirTag);
  }

  /** Another node answers, or says that it is still there. */
  private greet(node: NodeInfo, echo: number, theirTag: number): void {
    const member = this.members.get(node.id);
    if (!member) return;
    if (member.theirTag !== undefined && member.theirTag !== theirTag) this.catchUp(member, theirTag);
    else if (member.tag === echo) this.join(member, node, theirTag);
  }

  /** The other side has begun again without this one: now both do. */
  private catchUp(member: NatsMember, theirTag: number): void {
    if (member.theirTag === undefined || theirTag <= member.theirTag) return;
    this.lose(member.info.id, 'lost');
    this.ask(this.admit(member.info));
  }

  private join(member: NatsMember, node: NodeInfo, theirTag: number): void {
    if (member.theirTag !== undefined) {
      this.refresh(member, node);
      return;
    }
    member.theirTag = theirTag;
    member.hear(node);
    this.awaited.delete(node.id);
    this.peers.set(node.id, node);
    this.host.onPeer({ type: 'join', node });
  }

  private refresh(member: NatsMember, node: NodeInfo): void {
    if (!member.hear(node)) return;
    this.peers.set(node.id, node);
    this.host.onPeer({ type: 'change', node });
  }

  private admit(info: NodeInfo): NatsMember {
    const member = new NatsMember(info, ++this.lastTag, this.self, this.subjects, this.generation);
    this.members.set(info.id, member);
    return member;
  }

  private ask(member: NatsMember): void {
    member.heardAt = performance.now();
    this.host.post(member, this.control(0));
  }

  private control(echo: number): Buffer {
    const body = Buffer.from(`\0\0\0\0${writeMember(this.self, this.host.server)}`);
    body.writeUInt32LE(echo);
    return body;
  }

  private lose(id: NodeId, type: 'leave' | 'lost'): void {
    this.members.delete(id);
    if (this.peers.delete(id)) this.host.onPeer({ type, id });
  }
}
