import { types } from 'node:util';
import { StreamableFile } from '@nestjs/common';

/** Longest path that an error shows, in UTF-16 units. */
const MAX_PATH = 200;
/** A key that a path shows after a dot. */
const IDENTIFIER = /^[A-Za-z_$][\w$]{0,63}$/;

/** Stands for a key where a path goes on in what `toJSON` has given. */
const TO_JSON = Symbol('toJSON');
/** Those of Node give texts, null, or lists of numbers: what they give is not looked at. */
const TRUSTED: ReadonlySet<unknown> = new Set(
  [Date, URL, Buffer].map(({ prototype }) => (prototype as { toJSON?: unknown }).toJSON),
);

/** A place in a value. Made only where something is wrong, or may be. */
interface Place {
  readonly parent: Place | undefined;
  readonly key: string | number | typeof TO_JSON;
  /** What is there. */
  readonly value: unknown;
}

/** What JSON would carry as `{}` or `null`, or leave out, without a word. */
export interface JsonFault {
  /** Where it is, such as `body.items[3].tags`. */
  readonly path: string;
  /** What it is, such as `a Map`. */
  readonly what: string;
}

/**
 * How the instances of a class are looked at: those of `json` have a `toJSON`, which is trusted: calling it a second time may be
 * expensive. `fields` is walked, `look` needs {@link jsonFault}.
 */
type Kind = 'json' | 'fields' | 'look';

interface WithToJson {
  toJSON(key: string): unknown;
}

/** By prototype, so that each class is looked at once. */
const kinds = new WeakMap<object, Kind>();

/**
 * Whether a value is certainly carried by JSON as it is. Runs for every body, so it is short, makes nothing, and gives up where
 * anything is unusual: then {@link jsonFault} decides. The value must be known to have no cycles: `JSON.stringify` has taken it.
 */
export function isPlainJson(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
    case 'bigint':
      return true;
    case 'number':
      // NaN for NaN and the infinities.
      return value - value === 0;
    case 'object':
      return value === null || isPlainObject(value);
    default:
      return false;
  }
}

function isPlainObject(value: object): boolean {
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    for (let i = 0; i < items.length; i++) if (!isPlainJson(items[i])) return false;
    return true;
  }
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype !== Object.prototype && prototype !== null) {
    const kind = kinds.get(prototype) ?? learnKind(value, prototype);
    if (kind !== 'fields') return kind === 'json';
  }
  // Inherited keys are seen too, which JSON leaves out: one that is no JSON only leads to the slow path.
  for (const key in value) if (!isPlainJson((value as Record<string, unknown>)[key])) return false;
  return true;
}

function learnKind(value: object, prototype: object): Kind {
  const isUnusual = Symbol.iterator in prototype || Symbol.toStringTag in prototype || unsendable(value) !== undefined;
  const kind =
    typeof (prototype as { toJSON?: unknown }).toJSON === 'function' ? 'json' : isUnusual ? 'look' : 'fields';
  kinds.set(prototype, kind);
  return kind;
}

/**
 * The first part of a value that JSON cannot carry: a `Map`, a promise, `NaN`, a BigInt, a cycle, a function, a stream and the like. An
 * object with a `toJSON` stands for what that gives; `undefined` is left out, or null in an array, as JSON does.
 * @param root what the path begins with.
 * @param hasFailed whether `JSON.stringify` has thrown: what each `toJSON` gives is looked at then, and trusted otherwise.
 * @throws RangeError when it nests too deeply for the stack.
 */
export function jsonFault(value: unknown, root: string, hasFailed: boolean): JsonFault | undefined {
  return faultAt({ parent: undefined, key: root, value }, hasFailed);
}

function faultAt(place: Place, hasFailed: boolean): JsonFault | undefined {
  const { value, key } = place;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : fault(place, String(value));
  if (typeof value === 'symbol') return fault(place, 'a symbol');
  if (value === undefined || value === null) return undefined;
  // What a `toJSON` has given is not asked again.
  if (key !== TO_JSON && mayHaveToJson(value) && isMethod(value, 'toJSON'))
    return hasFailed ? faultOfResult(value as WithToJson, place) : undefined;
  if (typeof value === 'bigint' || types.isBigIntObject(value)) return fault(place, 'a BigInt');
  if (typeof value === 'function') return fault(place, 'a function');
  if (typeof value !== 'object') return undefined;
  const what = unsendable(value);
  if (what !== undefined) return fault(place, what);
  if (types.isBoxedPrimitive(value)) return undefined;
  if (isPartOfItself(place)) return fault(place, 'a part of itself');
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = faultAt({ parent: place, key: i, value: value[i] }, hasFailed);
      if (found) return found;
    }
    return undefined;
  }
  for (const name of Object.keys(value)) {
    const found = faultAt({ parent: place, key: name, value: (value as Record<string, unknown>)[name] }, hasFailed);
    if (found) return found;
  }
  return undefined;
}

function faultOfResult(value: WithToJson, place: Place): JsonFault | undefined {
  if (TRUSTED.has((value as { toJSON: unknown }).toJSON)) return undefined;
  let result: unknown;
  try {
    result = value.toJSON(place.parent ? String(place.key) : '');
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return fault(place, `an object whose toJSON throws (${error instanceof Error ? error.message : typeof error})`);
  }
  return faultAt({ parent: place, key: TO_JSON, value: result }, true);
}

function mayHaveToJson(value: unknown): value is object {
  return typeof value === 'object' || typeof value === 'function' || typeof value === 'bigint';
}

/** Whether a value has itself in it. One for which its `toJSON` stands is not written itself. */
function isPartOfItself(place: Place): boolean {
  let below = place;
  for (let at = place.parent; at; at = at.parent) {
    if (at.value === place.value && below.key !== TO_JSON) return true;
    below = at;
  }
  return false;
}

/** Names an object whose content JSON cannot see; `undefined` for every other one. */
function unsendable(value: object): string | undefined {
  if (Array.isArray(value)) return undefined;
  if (types.isMap(value)) return 'a Map';
  if (types.isSet(value)) return 'a Set';
  if (types.isNativeError(value) || value instanceof Error) return 'an Error';
  if (types.isAnyArrayBuffer(value) || ArrayBuffer.isView(value)) return `bytes (${tagOf(value)}) inside of JSON`;
  if (isMethod(value, 'then')) return 'a promise that was not awaited';
  if (isMethod(value, 'subscribe')) return 'an Observable';
  if (value instanceof StreamableFile) return 'a StreamableFile';
  if (isMethod(value, 'pipe') || isMethod(value, 'pipeTo')) return 'a stream';
  if (Symbol.asyncIterator in value) return 'an async iterable';
  const tag = tagOf(value);
  // Collections of an application that keep their items in fields are carried by those.
  if (tag === 'Object' && !(Symbol.iterator in value)) return undefined;
  if (types.isBoxedPrimitive(value) || Object.keys(value).length > 0) return undefined;
  if (types.isGeneratorObject(value)) return 'a generator';
  return tag === 'Object' ? 'an iterable' : `an object of the kind ${tag}`;
}

function isMethod(value: object, name: string): boolean {
  return typeof (value as Record<string, unknown>)[name] === 'function';
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

function fault(place: Place, what: string): JsonFault {
  return { path: pathOf(place), what };
}

function pathOf(place: Place): string {
  let path = '';
  let at: Place | undefined = place;
  // From the inside out, so that the end of a long path, which is what one looks for, is shown.
  for (; at && path.length < MAX_PATH; at = at.parent) path = segmentOf(at) + path;
  return at ? `…${path}` : path;
}

function segmentOf({ parent, key }: Place): string {
  if (key === TO_JSON) return '.toJSON()';
  if (!parent) return String(key);
  if (typeof key === 'number') return `[${key}]`;
  return IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key.slice(0, 64))}]`;
}
