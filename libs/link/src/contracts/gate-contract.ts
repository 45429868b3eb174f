import { count, flag, json, nothing, struct, text } from '../wire/codec.js';
import { allOp, any, nodeOp } from '../wire/operation.js';

/** That a client is, or wants to be, bound to a uid since a moment of the cluster's clock. */
export interface LoginClaim {
  readonly userId: string;
  readonly clientId: string;
  readonly clock: number;
}

const claim = { userId: text, clientId: text, clock: count };

/** What gates ask of each other, so that a login rule holds for all of them together. Ids are never reused. */
export const gateContract = {
  /** A client has been bound: others that came before it go. True when one of them has come after it instead. */
  replace: allOp(120, struct(claim), flag, any),
  /** A client wants to be bound. True when it may not: another one is, or wants it too and came first. */
  reserve: allOp(121, struct(claim), flag, any),
  /**
   * A client wants to be bound and may not. The gate that has the other one asks it with a ping whether it is alive, and closes it when
   * it does not answer. True when it stays.
   */
  probe: allOp(126, struct(claim), flag, any),
  /** All that are bound on a gate, for one that it had no connection with. */
  claims: nodeOp(122, 'never', json<readonly LoginClaim[]>(), nothing),
} as const;

export type GateContract = typeof gateContract;
