import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { type Handlers, LinkNode, sessionContract, type SessionContract, type SessionSnapshot } from '@nestgate/link';
import { CLOSE, GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker';
import type { ClientAgent } from './connection/client-agent.js';
import type { ResolvedGateOptions } from './gate-options.js';
import { RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { Hub } from './hub/hub.js';
import type { Memberships } from './hub/memberships.js';
import { TopicRouter } from './routing/topic-router.js';

/** Ids an error's details may list. */
type Named = { readonly clientId: string };

/**
 * Does on this gate what workers and other nodes ask for: the handlers of the session contract. Everything that changes
 * a session passes here, whoever asks.
 */
@Injectable()
export class Delegater implements OnModuleInit {
  constructor(
    private readonly node: LinkNode,
    private readonly hub: Hub,
    private readonly router: TopicRouter,
    @Inject(RESOLVED_GATE_OPTIONS) private readonly options: ResolvedGateOptions,
  ) {}

  onModuleInit(): void {
    this.node.dispatcher.serve(sessionContract, this.handlers());
  }

  /** The agent of a client of this gate. @throws {GateError} `SESSION_NOT_FOUND`. */
  getAgent(sessionId: string): ClientAgent {
    return this.hub.get(sessionId);
  }

  /** How many clients this gate has. */
  getAgentNum(): number {
    return this.hub.size;
  }

  /** The clients of this gate. */
  sessions(): IterableIterator<ClientAgent> {
    return this.hub.all();
  }

  /** Closes all clients with 1012: they should reconnect, to another gate. */
  onDestroy(): void {
    const { code, reason } = CLOSE.restarting;
    for (const agent of this.hub.all()) agent.close(code, reason);
  }

  private handlers(): Handlers<SessionContract> {
    const { hub } = this;
    const { uids, groups } = hub;
    return {
      load: args => this.read(args),
      bind: args => this.change(args, agent => this.bind(agent, args.userId)),
      unbind: args => this.change(args, agent => this.unbind(agent, args.userId)),
      push: args => this.change(args, agent => agent.session.merge(args.settings)),
      set: args => this.change(args, agent => agent.session.merge(Object.fromEntries([[args.key, args.value]]))),
      del: args => this.change(args, agent => agent.session.delete(args.key)),
      replace: args => this.change(args, agent => agent.session.replace(args.settings)),
      connected: ({ clientId }) => hub.find(clientId) !== undefined,
      close: ({ clientId, message }) => {
        const agent = hub.get(clientId);
        if (message) agent.sendPack(message.topic, message.body);
        agent.close(CLOSE.kicked.code, CLOSE.kicked.reason);
        return true;
      },
      destroy: ({ clientId }) => {
        hub.get(clientId).destroy(CLOSE.kicked.code, CLOSE.kicked.reason);
        return true;
      },
      joinGroup: ({ clientId, group }) => this.join(hub.get(clientId), group),
      leaveGroup: ({ clientId, group }) => void groups.remove(group, hub.get(clientId)),

      send: ({ clientIds, topic, body }) => hub.push(this.present(clientIds), topic, body),
      broadcast: ({ topic, body, clientIds, except }) =>
        hub.push(clientIds ? this.present(clientIds) : hub.all(), topic, body, except),
      sendToUid: args => hub.push(hub.union(uids, args.uids), args.topic, args.body),
      sendToGroup: args => hub.push(hub.union(groups, args.groups), args.topic, args.body, args.except),
      ungroup: ({ group }) => {
        const members = [...groups.members(group)];
        for (const agent of members) groups.remove(group, agent);
        return members.length;
      },

      clientCount: ({ group }) => (group === undefined ? hub.size : groups.members(group).size),
      clientIds: ({ group }) => idsOf(group === undefined ? hub.all() : groups.members(group)),
      clientIdsOfUids: args => Object.fromEntries(args.uids.map(uid => [uid, idsOf(uids.members(uid))])),
      uids: ({ group }) => (group === undefined ? [...uids.names()] : uidsOf(groups.members(group))),
      isUidOnline: ({ userId }) => uids.members(userId).size > 0,
      groups: () => [...groups.names()],
      groupClientCounts: () => countsOf(groups),
    };
  }

  private read({ clientId }: Named): SessionSnapshot {
    return this.hub.get(clientId).session.snapshot();
  }

  private change(args: Named, apply: (agent: ClientAgent) => void): SessionSnapshot {
    const agent = this.hub.get(args.clientId);
    apply(agent);
    this.router.tell(agent);
    return agent.session.snapshot();
  }

  private bind(agent: ClientAgent, userId: string): void {
    assertName('uid', userId);
    const { userId: before } = agent.session;
    if (before === userId) return;
    if (before !== '') this.hub.uids.remove(before, agent);
    agent.session.setUserId(userId);
    this.hub.uids.add(userId, agent);
  }

  private unbind(agent: ClientAgent, userId: string | undefined): void {
    const { userId: bound } = agent.session;
    if (bound === '' || (userId !== undefined && userId !== bound)) return;
    this.hub.uids.remove(bound, agent);
    agent.session.setUserId('');
  }

  private join(agent: ClientAgent, group: string): void {
    assertName('group', group);
    const { groups } = this.hub;
    const joined = groups.namesOf(agent);
    if (joined.size >= this.options.maxGroups && !joined.has(group)) {
      throw new GateError('LIMIT_EXCEEDED', `A client may be in ${this.options.maxGroups} groups`);
    }
    groups.add(group, agent);
  }

  /** The clients of these ids that are here, each once. */
  private present(clientIds: readonly string[]): Iterable<ClientAgent> {
    const agents = new Set<ClientAgent>();
    for (const id of clientIds) {
      const agent = this.hub.find(id);
      if (agent) agents.add(agent);
    }
    return agents;
  }
}

function idsOf(agents: Iterable<ClientAgent>): string[] {
  return Array.from(agents, agent => agent.session.origin.sessionId);
}

function uidsOf(agents: Iterable<ClientAgent>): string[] {
  const uids = new Set<string>();
  for (const agent of agents) if (agent.session.userId !== '') uids.add(agent.session.userId);
  return [...uids];
}

function countsOf(groups: Memberships<ClientAgent>): Record<string, number> {
  return Object.fromEntries(Array.from(groups.names(), name => [name, groups.members(name).size]));
}
