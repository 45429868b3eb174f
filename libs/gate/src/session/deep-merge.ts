import type { JsonValue, Settings } from '@nestgate/link';

/** Objects that nest deeper are replaced, not merged. */
const MAX_DEPTH = 32;

/** The keys of `changes`, with objects merged into those that are there: key by key, arrays and other values as a whole. */
export function deepMerged(settings: Settings, changes: Settings): Settings {
  return Object.fromEntries(
    Object.entries(changes).map(([key, value]) => [
      key,
      merged(Object.hasOwn(settings, key) ? settings[key] : undefined, value, 1),
    ]),
  );
}

function merged(old: JsonValue | undefined, change: JsonValue, depth: number): JsonValue {
  if (!isObject(old) || !isObject(change) || depth > MAX_DEPTH) return change;
  const keys = new Map<string, JsonValue>(Object.entries(old));
  for (const [key, value] of Object.entries(change)) keys.set(key, merged(keys.get(key), value, depth + 1));
  return Object.fromEntries(keys);
}

function isObject(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
