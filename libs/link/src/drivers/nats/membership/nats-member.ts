import type { NodeInfo } from '../../../link.js';
import { readNodeInfo } from '../../../node-info.js';
import { partHead } from '../nats-fragments.js';
import { isSubjectToken, type NatsSubjects } from '../nats-subjects.js';
import { parseJson } from '../../../common/checked.js';

/** Another node, from the first sign of it on. */
export class NatsMember {
  /** Where messages to it go, and where the server says that it is gone. */
  readonly subject: string;
  readonly lost: string;
  /** What messages to it begin with. */
  head: Buffer;
  /** What it calls its meeting with this node; `undefined` until the two have met. */
  theirTag: number | undefined;
  heardAt = performance.now();
  /** The id of the server that it is connected to; `''` when it does not say. */
  server = '';
  /** True when nothing was heard of it since the connection came back. */
  isStale = false;
  /** Another boot that says it has this id, and how often it has. */
  rival: NodeInfo | undefined;
  rivalCount = 0;
  private theirGeneration = 0;

  constructor(
    public info: NodeInfo,
    /** What this node calls the meeting. */
    readonly tag: number,
    private readonly self: NodeInfo,
    subjects: NatsSubjects,
    generation: number,
  ) {
    this.subject = subjects.to(info);
    this.lost = subjects.lost(info);
    this.head = partHead(self, tag, generation);
  }

  /** This node has another connection. */
  renew(generation: number): void {
    this.isStale = true;
    this.head = partHead(this.self, this.tag, generation);
  }

  /** A sign of life. Returns whether it says something new. */
  hear(info: NodeInfo): boolean {
    this.heardAt = performance.now();
    this.isStale = false;
    if (JSON.stringify(this.info) === JSON.stringify(info)) return false;
    this.info = info;
    return true;
  }

  /** Another one wants the id. Returns how often it has said so. */
  noteRival(node: NodeInfo): number {
    this.rivalCount = this.rival?.epoch === node.epoch ? this.rivalCount + 1 : 1;
    this.rival = node;
    return this.rivalCount;
  }

  /** Whether a message did not come by an earlier connection of the other node than one before it. */
  isLatest(generation: number): boolean {
    if (generation < this.theirGeneration) return false;
    this.theirGeneration = generation;
    return true;
  }
}

/** What a node tells the others of itself, and by which server. */
export function writeMember(self: NodeInfo, server: string): string {
  return JSON.stringify({ ...self, server });
}

/** The server that a node names beside what {@link readMember} has read. */
export function readServer(bytes: Buffer): string {
  const { server } = parseJson<{ server?: unknown }>(bytes.toString('utf8'));
  return typeof server === 'string' && isSubjectToken(server) ? server : '';
}

/** What a node says of itself; `undefined` for what is malformed. */
export function readMember(bytes: Buffer): NodeInfo | undefined {
  try {
    const node = readNodeInfo(bytes);
    return isSubjectToken(node.epoch) ? node : undefined;
  } catch {
    return undefined;
  }
}
