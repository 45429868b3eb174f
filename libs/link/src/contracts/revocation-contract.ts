import { json, nothing } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';

/** That what a uid had to show for itself before a moment is worth nothing any more. */
export interface RevocationNotice {
  readonly userId: string;
  /** Credentials issued before this are refused; milliseconds since the epoch. */
  readonly before: number;
  /** For how long they still are, in milliseconds. */
  readonly leftMs: number;
  /** How long ago it was said, in milliseconds: nodes whose clocks differ agree on that. @defaultValue 0 */
  readonly agoMs?: number;
}

/** What a gate tells one that has just come, or come back: it was not there when it was said to all. Ids are never reused. */
export const revocationContract = {
  revocations: nodeOp(123, 'never', json<readonly RevocationNotice[]>(), nothing),
} as const;

/** That a group was dissolved. */
export interface UngroupNotice {
  readonly group: string;
  /** How long ago, in milliseconds. */
  readonly ageMs: number;
}

/** What gates do for one that has stood still. Ids are never reused. */
export const standstillContract = {
  /** Tells the caller all logins, revocations and dissolved groups, and is answered after them. Only gates know it. */
  recall: nodeOp(124, 'required', nothing, nothing),
  ungroups: nodeOp(125, 'never', json<readonly UngroupNotice[]>(), nothing),
} as const;
