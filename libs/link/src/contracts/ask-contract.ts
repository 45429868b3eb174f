import { body, struct, text } from '../wire/codec.js';
import { ownerOp } from '../wire/operation.js';

/** What gates do for those that call clients. Ids are never reused. */
export const askContract = {
  /** Calls a client, and answers with what it has answered. */
  ask: ownerOp(174, struct({ clientId: text, topic: text, body }), body),
} as const;

export type AskContract = typeof askContract;
