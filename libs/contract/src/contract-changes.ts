import { GateError } from '@nestgate/protocol';
import type { AsyncApiDocument } from './asyncapi-document.js';
import { type Narrowing, SchemaComparison } from './schema-comparison.js';

/** What has changed. */
export type ContractChangeCode = 'topic-removed' | 'kind-changed' | 'error-added' | Narrowing['code'];

/** A change after which clients of the old contract may fail. */
export interface ContractChange {
  readonly code: ContractChangeCode;
  readonly topic: string;
  /** Where, such as `body.items[].name`; `''` for the topic itself. */
  readonly path: string;
  readonly message: string;
}

/** The messages of a channel that clients send, and those that they get, by kind. */
const SENT_BY_CLIENT: Readonly<Record<string, readonly string[]>> = {
  request: ['body'],
  message: ['body'],
  stream: ['body'],
  call: ['reply'],
};

/**
 * The breaking changes from one AsyncAPI document of {@link toAsyncApi} to a newer one: those after which a client that was written for
 * the old contract may fail. What clients send must still be accepted: no new required fields, no fewer values. What they get must still
 * be what they know: no missing fields, no other types, no new error codes. Limits (`maxLength` and the like) are compared in what
 * clients send only. A new topic, a new optional field, and a new field in what clients get are no breaking changes.
 *
 * @throws {GateError} `BAD_ARGUMENT` when one of them is no such document.
 */
export function compareContracts(before: AsyncApiDocument, after: AsyncApiDocument): readonly ContractChange[] {
  assertDocument(before);
  assertDocument(after);
  const changes: ContractChange[] = [];
  for (const [topic, was] of Object.entries(before.operations)) {
    const is = Object.hasOwn(after.operations, topic) ? after.operations[topic] : undefined;
    if (!is) {
      changes.push({ code: 'topic-removed', topic, path: '', message: 'the topic is gone' });
      continue;
    }
    const kind = was['x-nestgate-kind'];
    if (kind !== is['x-nestgate-kind']) {
      const message = `it was a ${kind}, and is a ${is['x-nestgate-kind']}`;
      changes.push({ code: 'kind-changed', topic, path: '', message });
      continue;
    }
    for (const code of is['x-nestgate-errors'] ?? []) {
      if (was['x-nestgate-errors']?.includes(code)) continue;
      changes.push({ code: 'error-added', topic, path: '', message: `the error ${code} is new` });
    }
    const wasMessages = before.channels[topic]?.messages ?? {};
    const isMessages = after.channels[topic]?.messages ?? {};
    for (const name of Object.keys(wasMessages)) {
      const isSent = SENT_BY_CLIENT[kind]?.includes(name) ?? false;
      const comparison = new SchemaComparison(before, after, isSent ? 'sent' : 'received');
      const found = comparison.compare(wasMessages[name]?.payload, isMessages[name]?.payload, name);
      changes.push(...found.map(({ code, path, message }) => ({ code, topic, path, message })));
    }
  }
  return changes;
}

function assertDocument(document: AsyncApiDocument): void {
  const { asyncapi, channels, operations } = (document ?? {}) as Partial<Record<keyof AsyncApiDocument, unknown>>;
  const isOurs =
    typeof asyncapi === 'string' && asyncapi.startsWith('3.') && isObject(channels) && isObject(operations);
  if (!isOurs) throw new GateError('BAD_ARGUMENT', 'compareContracts() needs AsyncAPI 3 documents of toAsyncApi()');
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
