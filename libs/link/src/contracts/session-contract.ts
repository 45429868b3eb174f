import type { Body } from '@nestgate/protocol';
import { body, count, flag, json, list, nothing, optional, struct, text } from '../codec.js';
import { any, castOp, concat, mergeRecords, ownerOp, ownersOp, queryOp, sum } from '../operation.js';
import type { JsonValue, SessionSnapshot, Settings } from './session-snapshot.js';

const client = struct({ clientId: text });
const clientAndGroup = struct({ clientId: text, group: text });
const snapshot = json<SessionSnapshot>();
const settings = json<Settings>();
const value = json<JsonValue>();
const names = list(text);
const group = struct({ group: text });
const message = { topic: text, body };
/** A message that may be missing: a close without a farewell. */
const farewell = optional(struct(message));

/** A message to a client, as arguments of an operation. */
export interface MessageArgs {
  readonly topic: string;
  readonly body: Body;
}

/**
 * What gates do for others: sessions, pushes, groups and questions. This table is the only place where these operations
 * are listed; callers and handlers derive from it. Ids are never reused.
 */
export const sessionContract = {
  // One session, on the gate that owns it. All but `connected` reject with SESSION_NOT_FOUND when it is gone.
  load: ownerOp(1, client, snapshot),
  bind: ownerOp(2, struct({ clientId: text, userId: text }), snapshot),
  /** With a `userId`, only when the client is bound to that one. */
  unbind: ownerOp(3, struct({ clientId: text, userId: optional(text) }), snapshot),
  push: ownerOp(4, struct({ clientId: text, settings }), snapshot),
  set: ownerOp(5, struct({ clientId: text, key: text, value }), snapshot),
  del: ownerOp(6, struct({ clientId: text, key: text }), snapshot),
  replace: ownerOp(7, struct({ clientId: text, settings }), snapshot),
  connected: ownerOp(8, client, flag),
  close: ownerOp(9, struct({ clientId: text, message: farewell }), flag),
  destroy: ownerOp(10, client, flag),
  joinGroup: ownerOp(11, clientAndGroup, nothing),
  leaveGroup: ownerOp(12, clientAndGroup, nothing),

  // Pushes. The answer, when somebody waits for it, is the number of clients they were queued for.
  send: ownersOp(20, struct({ clientIds: names, ...message }), count, sum),
  broadcast: castOp(21, struct({ ...message, clientIds: optional(names), except: optional(names) }), count, sum),
  sendToUid: castOp(22, struct({ uids: names, ...message }), count, sum),
  sendToGroup: castOp(23, struct({ groups: names, ...message, except: optional(names) }), count, sum),
  ungroup: queryOp(24, group, count, sum),

  // Questions to all gates.
  clientCount: queryOp(40, struct({ group: optional(text) }), count, sum),
  clientIds: queryOp(41, struct({ group: optional(text) }), names, concat<string>()),
  clientIdsOfUids: queryOp(
    42,
    struct({ uids: names }),
    json<Record<string, readonly string[]>>(),
    mergeRecords(concat<string>()),
  ),
  /** Uids online (in a group), each once per gate; merged distinct. */
  uids: queryOp(43, struct({ group: optional(text) }), names, concat<string>(true)),
  isUidOnline: queryOp(44, struct({ userId: text }), flag, any),
  groups: queryOp(45, nothing, names, concat<string>(true)),
  groupClientCounts: queryOp(46, nothing, json<Record<string, number>>(), mergeRecords(sum)),
} as const;

export type SessionContract = typeof sessionContract;
