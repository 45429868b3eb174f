import type { ModuleMetadata } from '@nestjs/common';
import { assertKnownOptions, kindOf, optionKeys } from '@nestgate/link/internal';
import { GateError, isTopic } from '@nestgate/protocol';
import { isLoopback } from '../http/loopback.js';
import { secretBytes } from './webhook-signature.js';

/** An event that an endpoint receives. */
export type WebhookEvent = 'connect' | 'disconnect' | 'message';

/** An HTTP endpoint of the application that answers events of clients. */
export interface WebhookOptions {
  /** Where the events are sent to. In `http:` they can be read on the way: for a private network only. */
  readonly url: string;
  /** Signs the events: `whsec_` and the base64 of 24 to 64 bytes, or a text of at least 24 characters. */
  readonly secret: string;
  /** Which events. `connect` and `disconnect` have one endpoint at most. @defaultValue what `topics` implies */
  readonly events?: readonly WebhookEvent[] | undefined;
  /** The topics whose messages it answers. */
  readonly topics?: readonly string[] | undefined;
  /** Time limit of each request, in milliseconds. @defaultValue 5000 */
  readonly timeout?: number | undefined;
  /** Requests in flight at most; above that `connect` and `message` fail, and `disconnect` waits. @defaultValue 256 */
  readonly maxConcurrent?: number | undefined;
  /** `disconnect` events that wait at most; above that new ones are dropped. @defaultValue 10000 */
  readonly maxQueue?: number | undefined;
  /** How long a `disconnect` event is tried, in milliseconds. @defaultValue 300000 */
  readonly retryFor?: number | undefined;
}

/** Options of {@link WebhookModule}. */
export interface WebhookModuleOptions {
  readonly endpoints: readonly WebhookOptions[];
  /** The module with `GatewayApi`, where that is not global. */
  readonly imports?: NonNullable<ModuleMetadata['imports']> | undefined;
}

/** What all endpoints together answer. */
export interface WebhookSubjects {
  readonly events: readonly WebhookEvent[];
  readonly topics: readonly string[];
}

/**
 * What stands beside the factory of `WebhookModule.forRootAsync`, since handlers are made before it runs: the topics and events of all its
 * endpoints together.
 */
export interface WebhookExtras {
  /** @defaultValue what `topics` implies */
  readonly events?: readonly WebhookEvent[] | undefined;
  /** @defaultValue [] */
  readonly topics?: readonly string[] | undefined;
}

/** Options of one endpoint with their defaults. */
export interface ResolvedWebhook {
  readonly url: string;
  readonly secret: Buffer;
  readonly events: ReadonlySet<WebhookEvent>;
  readonly topics: readonly string[];
  readonly timeout: number;
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly retryFor: number;
  /** Whether others can read the events on the way. */
  readonly isReadable: boolean;
}

const MODULE = 'WebhookModule';
const MODULE_KEYS = optionKeys<WebhookModuleOptions>({ endpoints: true, imports: true });
const KEYS = optionKeys<WebhookOptions>({
  url: true,
  secret: true,
  events: true,
  topics: true,
  timeout: true,
  maxConcurrent: true,
  maxQueue: true,
  retryFor: true,
});
const EVENTS: readonly unknown[] = ['connect', 'disconnect', 'message'] satisfies readonly WebhookEvent[];
const MAX_ENDPOINTS = 64;
const MAX_TOPICS = 1_000;
const DAY_MS = 86_400_000;

/** Checks options, and adds the defaults. @throws {GateError} `BAD_ARGUMENT` that names the key, and what is allowed. */
export function resolveWebhooks(options: WebhookModuleOptions): readonly ResolvedWebhook[] {
  assertKnownOptions(MODULE, options, MODULE_KEYS);
  const { endpoints } = options as { readonly endpoints: unknown };
  if (!Array.isArray(endpoints) || endpoints.length === 0 || endpoints.length > MAX_ENDPOINTS) {
    refuse('endpoints', `an array of 1 to ${MAX_ENDPOINTS} endpoints`, kindOf(endpoints));
  }
  const resolved = endpoints.map((each, index) => resolveOne(`endpoints[${index}]`, each));
  for (const event of ['connect', 'disconnect'] as const) {
    if (resolved.filter(({ events }) => events.has(event)).length > 1) {
      refuse('endpoints', `endpoints of which one at most has the event ${event}`, 'several');
    }
  }
  const topics = resolved.flatMap(each => each.topics);
  const twice = topics.find((topic, index) => topics.indexOf(topic) !== index);
  if (twice !== undefined) refuse('endpoints', 'endpoints with different topics', `${twice} twice`);
  return resolved;
}

/** What endpoints answer together. */
export function subjectsOf(hooks: readonly ResolvedWebhook[]): WebhookSubjects {
  return {
    events: [...new Set(hooks.flatMap(({ events }) => [...events]))],
    topics: hooks.flatMap(({ topics }) => topics),
  };
}

/** Checks what stands beside a factory. @throws {GateError} `BAD_ARGUMENT` */
export function resolveSubjects({ events, topics }: WebhookExtras): WebhookSubjects {
  const [checkedTopics, checkedEvents] = checkSubjects('', events, topics ?? []);
  return { events: checkedEvents, topics: checkedTopics };
}

/** Checks that the endpoints of a factory answer what stands beside it, and nothing else. @throws {GateError} `BAD_ARGUMENT` */
export function assertSubjects(hooks: readonly ResolvedWebhook[], beside: WebhookSubjects): void {
  const given = subjectsOf(hooks);
  for (const key of ['events', 'topics'] as const) {
    const [one, other] = [[...given[key]].sort().join(', '), [...beside[key]].sort().join(', ')];
    if (one !== other)
      refuse('endpoints', `endpoints with the ${key} that stand beside useFactory (${other || 'none'})`, one || 'none');
  }
}

function checkSubjects(
  where: string,
  events: unknown,
  topics: unknown,
): readonly [topics: readonly string[], events: readonly WebhookEvent[]] {
  if (!Array.isArray(topics) || topics.length > MAX_TOPICS) {
    refuse(`${where}topics`, `an array of at most ${MAX_TOPICS} topics`, kindOf(topics));
  }
  const bad = topics.findIndex(topic => !isTopic(topic));
  if (bad >= 0) refuse(`${where}topics[${bad}]`, 'a topic such as "shop/order"', JSON.stringify(topics[bad]));
  const wanted = events ?? (topics.length > 0 ? ['message'] : []);
  if (!Array.isArray(wanted) || wanted.length === 0 || !wanted.every(event => EVENTS.includes(event))) {
    refuse(`${where}events`, `an array of ${EVENTS.join(', ')}`, kindOf(events));
  }
  if (wanted.includes('message') !== topics.length > 0) {
    refuse(`${where}topics`, 'the topics whose messages are sent, with the event message', `${topics.length} topics`);
  }
  return [topics as readonly string[], wanted as readonly WebhookEvent[]];
}

function resolveOne(where: string, given: unknown): ResolvedWebhook {
  assertKnownOptions(MODULE, given, KEYS, `${where}.`);
  const { url, secret, events, topics = [], ...limits } = given as Partial<Record<keyof WebhookOptions, unknown>>;
  const { timeout = 5_000, maxConcurrent = 256, maxQueue = 10_000, retryFor = 300_000 } = limits;
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined;
  // Never its value: it may have a password in it.
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username !== '' || parsed.password !== '') {
    refuse(`${where}.url`, 'an http or https URL without a user', 'something else');
  }
  const [answered, wanted] = checkSubjects(`${where}.`, events, topics);
  return Object.freeze({
    url: parsed.href,
    secret: checkedSecret(where, secret),
    events: new Set(wanted),
    topics: answered,
    timeout: integer(`${where}.timeout`, timeout, 1, 600_000),
    maxConcurrent: integer(`${where}.maxConcurrent`, maxConcurrent, 1, 10_000),
    maxQueue: integer(`${where}.maxQueue`, maxQueue, 0, 1_000_000),
    retryFor: integer(`${where}.retryFor`, retryFor, 0, DAY_MS),
    isReadable: parsed.protocol === 'http:' && !isLoopback(parsed.hostname),
  });
}

function checkedSecret(where: string, secret: unknown): Buffer {
  const bytes = typeof secret === 'string' ? secretBytes(secret) : undefined;
  return (
    bytes ??
    refuse(`${where}.secret`, '"whsec_" and the base64 of 24 to 64 bytes, or at least 24 characters', 'something else')
  );
}

function integer(key: string, value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value);
  return refuse(key, `an integer from ${min} to ${max}`, typeof value === 'number' ? String(value) : kindOf(value));
}

function refuse(key: string, allowed: string, given: string): never {
  throw new GateError('BAD_ARGUMENT', `${MODULE}: option ${key} must be ${allowed}, but ${given} was given`);
}
