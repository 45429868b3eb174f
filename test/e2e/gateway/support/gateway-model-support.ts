import type { JsonValue } from '@nestgate/link';

/** One client, as the model has it. */
export interface ModelClient {
  readonly id: string;
  readonly gate: number;
  uid: string | undefined;
  readonly groups: Set<string>;
  settings: ReadonlyMap<string, JsonValue>;
}

/** What the cluster must look like: one map, and nothing clever. */
export class GatewayModel {
  readonly clients = new Map<string, ModelClient>();

  connect(id: string, gate: number): void {
    this.clients.set(id, { id, gate, uid: undefined, groups: new Set(), settings: new Map() });
  }

  leave(id: string): void {
    this.clients.delete(id);
  }

  all(): ModelClient[] {
    return [...this.clients.values()];
  }

  present(ids: readonly string[]): ModelClient[] {
    return [...new Set(ids)].flatMap(id => this.clients.get(id) ?? []);
  }

  /** Those in any of the groups; everybody when there is no such question. */
  inGroups(groups: readonly string[] | undefined): ModelClient[] {
    return this.all().filter(client => !groups || groups.some(group => client.groups.has(group)));
  }

  ofUids(uids: readonly string[]): ModelClient[] {
    return this.all().filter(client => client.uid !== undefined && uids.includes(client.uid));
  }

  uidsOf(clients: readonly ModelClient[]): string[] {
    return [...new Set(clients.flatMap(client => client.uid ?? []))];
  }

  groups(): string[] {
    const groups = new Set<string>();
    for (const client of this.clients.values()) for (const group of client.groups) groups.add(group);
    return [...groups];
  }

  /** Something about the members of each group. */
  perGroup<T>(describe: (members: readonly ModelClient[]) => T): Map<string, T> {
    return new Map(this.groups().map(group => [group, describe(this.inGroups([group]))]));
  }
}

/** Settings with changes in them, key by key; with `deep`, objects are merged too. */
export function mergedSettings(
  settings: ReadonlyMap<string, JsonValue>,
  changes: ReadonlyMap<string, JsonValue>,
  deep: boolean,
): Map<string, JsonValue> {
  const merged = new Map(settings);
  for (const [key, value] of changes) {
    const old = merged.get(key);
    const both = deep && isObject(old) && isObject(value);
    merged.set(key, both ? plain(mergedSettings(entriesOf(old), entriesOf(value), true)) : value);
  }
  return merged;
}

export function plain<T>(entries: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries(entries);
}

export function entriesOf(value: object): Map<string, JsonValue> {
  return new Map(Object.entries(value) as [string, JsonValue][]);
}

function isObject(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A value in one form whatever the order in which it was made: records and maps as sorted pairs, lists of names sorted.
 * Comparing those sees a key `__proto__` as any other.
 */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value))
    return value.every(item => typeof item === 'string') ? [...value].sort() : value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  return entries.sort(([one], [other]) => (one < other ? -1 : 1)).map(([key, each]) => [key, canonical(each)]);
}
