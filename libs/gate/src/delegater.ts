import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { type Handlers, LinkNode, sessionContract, type SessionContract, type SessionSnapshot } from '@nestgate/link';
import { CLOSE, GateError } from '@nestgate/protocol';
import { assertName } from '@nestgate/worker';
import type { ClientAgent } from './connection/client-agent.js';
import type { ResolvedGateOptions } from './gate-options.js';
import { RESOLVED_GATE_OPTIONS } from './gate.tokens.js';
import { Hub } from './hub/hub.js';
import type { Memberships } from './hub/memberships.js';
import { Pusher } from './hub/pusher.js';
import { TopicRouter } from './routing/topic-router.js';
import { SessionKeeper } from './session/session-keeper.js';
import { StorageHandler } from './storage/storage-handler.js';

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
    private readonly keeper: SessionKeeper,
    private readonly pusher: Pusher,
    private readonly storage: StorageHandler,
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

  /**
   * Forgets what is stored of a user. Sessions that are bound to the uid stay as they are.
   * @throws {GateError} `STORAGE_UNAVAILABLE`.
   */
  async forgetUser(userId: string): Promise<void> {
    assertName('uid', userId);
    await this.storage.delete(userId);
  }

  /** Closes all clients with 1012: they should reconnect, to another gate. */
  onDestroy(): void {
    const { code, reason } = CLOSE.restarting;
    for (const agent of this.hub.all()) agent.close(code, reason);
  }

  private handlers(): Handlers<SessionContract> {
    const { hub, keeper, pusher } = this;
    const { uids, groups } = hub;
    return {
      load: args => this.read(args),
      bind: args => this.change(args, agent => keeper.bind(agent, args.userId)),
      unbind: args => this.change(args, agent => keeper.unbind(agent, args.userId)),
      push: args => this.change(args, agent => keeper.merge(agent, args.settings)),
      set: args => this.change(args, agent => keeper.merge(agent, Object.fromEntries([[args.key, args.value]]))),
      del: args => this.change(args, agent => keeper.delete(agent, args.key)),
      replace: args => this.change(args, agent => keeper.replace(agent, args.settings)),
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

      send: ({ clientIds, topic, body }) => pusher.push(hub.present(clientIds), topic, body),
      broadcast: ({ topic, body, clientIds, except }) =>
        pusher.push(clientIds ? hub.present(clientIds) : hub.all(), topic, body, except && hub.present(except)),
      sendToUid: args => pusher.push(hub.union(uids, args.uids), args.topic, args.body),
      sendToGroup: args =>
        pusher.push(hub.union(groups, args.groups), args.topic, args.body, args.except && hub.present(args.except)),
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

  private async change({ clientId }: Named, apply: (agent: ClientAgent) => Promise<void>): Promise<SessionSnapshot> {
    const agent = this.hub.get(clientId);
    try {
      await apply(agent);
    } finally {
      // Also when it could not be stored: the session has changed all the same.
      this.router.tell(agent);
    }
    return agent.session.snapshot();
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
