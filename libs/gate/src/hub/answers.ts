import type { Settings } from '@nestgate/link';
import type { ClientAgent } from '../client/client-agent.js';
import type { Memberships } from './memberships.js';

/** How many clients these are. */
export function sizeOf(agents: Iterable<ClientAgent>): number {
  if (agents instanceof Set) return agents.size;
  let size = 0;
  for (const _agent of agents) size++;
  return size;
}

export function idsOf(agents: Iterable<ClientAgent>): string[] {
  return Array.from(agents, agent => agent.sessionState.origin.sessionId);
}

/** The uids that these clients are bound to, each once. */
export function uidsOf(agents: Iterable<ClientAgent>): string[] {
  const uids = new Set<string>();
  for (const agent of agents) if (agent.sessionState.userId !== '') uids.add(agent.sessionState.userId);
  return [...uids];
}

/** The settings of these clients, by client id. */
export function settingsOf(agents: Iterable<ClientAgent>): Record<string, Settings> {
  return Object.fromEntries(
    Array.from(agents, agent => [agent.sessionState.origin.sessionId, agent.sessionState.snapshot().settings]),
  );
}

/** Something about the members of each name, by name. */
export function byName<T>(
  index: Memberships<ClientAgent>,
  describe: (members: ReadonlySet<ClientAgent>) => T,
): Record<string, T> {
  return Object.fromEntries(Array.from(index.names(), name => [name, describe(index.members(name))]));
}
