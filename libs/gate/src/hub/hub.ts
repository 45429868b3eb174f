import { Injectable } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import {
  clientIdPrefix,
  formatClientId,
  groupChannel,
  serialWithPrefix,
  uidChannel,
  present,
} from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import { ChannelInterest } from './channel-interest.js';
import { allOf, Memberships } from './memberships.js';
import { PresenceFeed } from './presence-feed.js';

/** The live clients of this gate, and the indexes of their uids and groups. */
@Injectable()
export class Hub {
  readonly uids: Memberships<ClientAgent>;
  readonly groups: Memberships<ClientAgent>;
  /** For those that watch who is here. */
  readonly presence: PresenceFeed;
  /** Which pushes to uids, and to groups, reach this gate. */
  readonly uidInterest: ChannelInterest;
  readonly groupInterest: ChannelInterest;
  private readonly agents = new Map<number, ClientAgent>();
  private readonly prefix: string;
  /** Clients whose sessions were born on another gate, or have been there; `undefined` where there was none. */
  private visitors: Map<string, ClientAgent> | undefined;
  /** What is said of a client that is not here; sessions that have moved know more. */
  absence: (clientId: string) => GateError = () => new GateError('SESSION_NOT_FOUND');
  private lastSerial = 0;

  constructor(node: LinkNode) {
    this.uidInterest = new ChannelInterest(node, uidChannel);
    this.groupInterest = new ChannelInterest(node, groupChannel);
    this.presence = new PresenceFeed(node, this);
    this.uids = new Memberships(allOf(this.uidInterest, this.presence.ofUids));
    this.groups = new Memberships(allOf(this.groupInterest, this.presence.ofGroups));
    this.prefix = clientIdPrefix(node.info.id, node.info.epoch);
  }

  get size(): number {
    return this.agents.size;
  }

  /** A serial that no client of this boot has had. */
  nextSerial(): number {
    return ++this.lastSerial;
  }

  clientId(serial: number): string {
    return formatClientId(this.prefix, serial);
  }

  add(agent: ClientAgent): void {
    this.agents.set(agent.serial, agent);
  }

  /** Adds a client whose session has come from another gate, with its id. */
  adopt(agent: ClientAgent): void {
    this.add(agent);
    (this.visitors ??= new Map()).set(agent.sessionState.origin.sessionId, agent);
  }

  /** Removes a client and everything that the indexes know of it. */
  remove(agent: ClientAgent): void {
    if (!this.agents.delete(agent.serial)) return;
    const { sessionId } = agent.sessionState.origin;
    if (this.visitors?.get(sessionId) === agent) this.visitors.delete(sessionId);
    this.uids.removeMember(agent);
    this.groups.removeMember(agent);
    this.presence.forgetAway(agent);
  }

  /** The client with this serial, `undefined` when it is not (or no longer) here. */
  withSerial(serial: number): ClientAgent | undefined {
    return this.agents.get(serial);
  }

  /** The client of this id, `undefined` when it is not (or no longer) here. */
  find(clientId: string): ClientAgent | undefined {
    return this.agents.get(serialWithPrefix(clientId, this.prefix)) ?? this.visitors?.get(clientId);
  }

  /** @throws {GateError} `SESSION_NOT_FOUND` when the client is not here. */
  get(clientId: string): ClientAgent {
    const agent = this.find(clientId);
    if (!agent) throw this.absence(clientId);
    return agent;
  }

  /** The clients of these ids that are here, each once. */
  present(clientIds: readonly string[]): Set<ClientAgent> {
    const agents = new Set<ClientAgent>();
    for (const id of clientIds) {
      const agent = this.find(id);
      if (agent) agents.add(agent);
    }
    return agents;
  }

  all(): IterableIterator<ClientAgent> {
    return this.agents.values();
  }

  /** The clients in any of the groups, or bound to any of the uids, each once. */
  union(index: Memberships<ClientAgent>, names: readonly string[]): Iterable<ClientAgent> {
    if (names.length === 1) return index.members(present(names[0]));
    const union = new Set<ClientAgent>();
    for (const name of names) for (const agent of index.members(name)) union.add(agent);
    return union;
  }
}
