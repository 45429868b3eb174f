import type { Body } from '@nestgate/protocol';
import { body, count, flag, json, list, nothing, optional, struct, text } from '../wire/codec.js';
import { ALL_GATES } from '../link.js';
import {
  allOp,
  any,
  castOp,
  concat,
  first,
  mergeRecords,
  ownerOp,
  ownerQueryOp,
  ownersOp,
  ownersQueryOp,
  queryOp,
  sum,
} from '../wire/operation.js';
import type { JsonValue, SessionSnapshot, Settings } from './session-snapshot.js';
import { present } from '../common/checked.js';

const client = struct({ clientId: text });
const clientAndGroup = struct({ clientId: text, group: text });
const snapshot = json<SessionSnapshot>();
const settings = json<Settings>();
const value = json<JsonValue>();
const names = list(text);
const group = struct({ group: text });
const inGroups = struct({ groups: optional(names) });
const page = struct({ groups: optional(names), after: text, limit: count });
const lists = json<Record<string, readonly string[]>>();
const settingsById = json<Record<string, Settings>>();
const message = { topic: text, body };
/** An optional message that is sent before a close. */
const closeMessage = optional(struct(message));

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
  load: ownerQueryOp(1, client, snapshot),
  bind: ownerOp(2, struct({ clientId: text, userId: text }), snapshot),
  /** With a `userId`, only when the client is bound to that one. */
  unbind: ownerOp(3, struct({ clientId: text, userId: optional(text) }), snapshot),
  push: ownerOp(4, struct({ clientId: text, settings, deep: optional(flag) }), snapshot),
  set: ownerOp(5, struct({ clientId: text, key: text, value }), snapshot),
  del: ownerOp(6, struct({ clientId: text, key: text }), snapshot),
  replace: ownerOp(7, struct({ clientId: text, settings }), snapshot),
  connected: ownerQueryOp(8, client, flag),
  close: ownerOp(9, struct({ clientId: text, message: closeMessage }), flag),
  destroy: ownerOp(10, client, flag),
  joinGroup: ownerOp(11, clientAndGroup, nothing),
  leaveGroup: ownerOp(12, clientAndGroup, nothing),
  /** As `bind`, by credentials of which is known when they were issued, or expire; milliseconds since the epoch. */
  authenticate: ownerOp(
    13,
    struct({ clientId: text, userId: text, issuedAt: optional(count), expiresAt: optional(count) }),
    snapshot,
  ),
  /** The client is closed then, unless it is told otherwise before; without a moment never. */
  expireAt: ownerOp(14, struct({ clientId: text, expiresAt: optional(count) }), flag),
  /** Whether the client has a connection at the moment, or only a session that is kept for it. Rejects when it has neither. */
  isAway: ownerQueryOp(15, client, flag),

  // Pushes. With confirmation, the answer is the number of clients for which they were queued.
  send: ownersOp(20, struct({ clientIds: names, ...message }), count, sum),
  broadcast: castOp(
    21,
    struct({ ...message, clientIds: optional(names), except: optional(names) }),
    count,
    sum,
    () => ALL_GATES,
  ),
  sendToUid: castOp(22, struct({ uids: names, ...message, except: optional(names) }), count, sum, ({ uids }) =>
    onlyOne(uidChannel, uids),
  ),
  sendToGroup: castOp(23, struct({ groups: names, ...message, except: optional(names) }), count, sum, ({ groups }) =>
    onlyOne(groupChannel, groups),
  ),
  ungroup: allOp(24, group, count, sum),
  /**
   * Closes the clients of uids, and for `forMs` refuses credentials that were issued `before`. The answer is the number of
   * clients closed. A gate that was lost within a minute is named as missing: it may come back with its clients.
   */
  revoke: {
    ...allOp(
      26,
      struct({ uids: names, before: optional(count), forMs: optional(count), except: optional(names) }),
      count,
      sum,
    ),
    namesLost: true,
  },

  /** Answered when all that was sent to the gate before has been taken: nothing that it sent earlier comes after this. */
  sync: allOp(30, nothing, nothing, { merge: () => undefined, empty: () => undefined }),

  // Questions to all gates. With `groups`, about the clients in any of them, each once.
  clientCount: queryOp(40, inGroups, count, sum),
  clientIds: queryOp(41, inGroups, names, concat<string>()),
  clientIdsOfUids: queryOp(42, struct({ uids: names }), lists, mergeRecords(concat<string>())),
  /** Uids online, each once per gate; merged distinct. */
  uids: queryOp(43, inGroups, names, concat<string>(true)),
  isUidOnline: queryOp(44, struct({ userId: text }), flag, any),
  groups: queryOp(45, nothing, names, concat<string>(true)),
  groupClientCounts: queryOp(46, nothing, json<Record<string, number>>(), mergeRecords(sum)),
  groupClientIds: queryOp(47, nothing, lists, mergeRecords(concat<string>())),
  groupUids: queryOp(48, nothing, lists, mergeRecords(concat<string>(true))),
  sessions: queryOp(49, inGroups, settingsById, mergeRecords(first<Settings>())),

  // The same page by page: each gate answers with the first `limit` of its items that come after `after`, in order.
  clientIdPage: queryOp(60, page, names, concat<string>()),
  uidPage: queryOp(61, page, names, concat<string>(true)),
  groupPage: queryOp(62, page, names, concat<string>(true)),
  /** The sessions of these clients; those that are gone are left out. */
  sessionsOf: ownersQueryOp(63, struct({ clientIds: names }), settingsById, mergeRecords(first<Settings>())),
} as const;

export type SessionContract = typeof sessionContract;

/** The channel of the gates that have a client of this uid. */
export function uidChannel(uid: string): string {
  return `uid:${uid}`;
}

/** The channel of the gates that have a member of this group. */
export function groupChannel(group: string): string {
  return `group:${group}`;
}

/** A gate may hear several channels, and must not push a message to one client twice: only one name has a channel. */
function onlyOne(channelOf: (name: string) => string, list: readonly string[]): string | undefined {
  return list.length === 1 ? channelOf(present(list[0])) : undefined;
}
