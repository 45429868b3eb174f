import { json, nothing } from '../wire/codec.js';
import { nodeOp } from '../wire/operation.js';

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
