import { body, count, list, optional, struct, text } from '../wire/codec.js';
import { allOp, type Merge, ownersOp } from '../wire/operation.js';

/** For how many clients a push was queued, and how many have acknowledged it. */
export interface PushReceipt {
  readonly delivered: number;
  readonly received: number;
}

/** Longest wait for acknowledgements, in milliseconds. */
export const MAX_RECEIPT_MS = 600_000;

const receipt = struct({ delivered: count, received: count });
const both: Merge<PushReceipt> = {
  merge: (one, other) => ({
    delivered: one.delivered + other.delivered,
    received: one.received + other.received,
  }),
  empty: () => ({ delivered: 0, received: 0 }),
};
const names = list(text);
/** `waitMs`: how long the gate waits for the acknowledgements of its clients, in milliseconds. */
const message = { topic: text, body, waitMs: count };

/**
 * The pushes of {@link sessionContract} whose sender waits until the clients have acknowledged them. They are operations of their own: pushes
 * that nobody waits for are as they are without them. Ids are never reused.
 */
export const receiptContract = {
  send: ownersOp(50, struct({ clientIds: names, ...message }), receipt, both),
  broadcast: allOp(51, struct({ ...message, except: optional(names) }), receipt, both),
  sendToUid: allOp(52, struct({ uids: names, ...message, except: optional(names) }), receipt, both),
  sendToGroup: allOp(53, struct({ groups: names, ...message, except: optional(names) }), receipt, both),
} as const;

export type ReceiptContract = typeof receiptContract;
