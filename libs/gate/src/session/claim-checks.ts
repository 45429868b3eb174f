import type { LinkNode } from '@nestgate/link';
import type { HybridClock, LoginClaim, Peer } from '@nestgate/link/internal';
import { GateError, isName } from '@nestgate/protocol';
import type { GateCounters } from '../gate-counters.js';

/** Checks what other gates claim about logins. */
export class ClaimChecks {
  constructor(
    private readonly node: LinkNode,
    private readonly clock: HybridClock,
    private readonly counters: GateCounters,
  ) {}

  /**
   * Checks that a gate claims only its own clients, with a plausible timestamp.
   * @throws {GateError} `FORBIDDEN` or `BAD_ARGUMENT`; counted.
   */
  checked(claim: LoginClaim, peer: Peer): LoginClaim {
    const fault = this.faultOf(claim, peer);
    if (!fault) return claim;
    this.counters.add('claims_refused', fault);
    throw new GateError(fault === 'role' ? 'FORBIDDEN' : 'BAD_ARGUMENT', `The ${fault} of this login is not allowed`);
  }

  /** Those of many claims that pass the checks; the others are counted. @throws {GateError} `BAD_ARGUMENT` for what is no list. */
  usable(claims: unknown, peer: Peer): LoginClaim[] {
    if (!Array.isArray(claims)) throw new GateError('BAD_ARGUMENT');
    return (claims as readonly LoginClaim[]).filter(claim => {
      const fault = this.faultOf(claim, peer);
      if (fault) this.counters.add('claims_refused', fault);
      return !fault;
    });
  }

  private faultOf(
    claim: Partial<LoginClaim> | null | undefined,
    peer: Peer,
  ): 'role' | 'client' | 'uid' | 'clock' | undefined {
    if (peer.info.role !== 'gate') return 'role';
    if (typeof claim?.clientId !== 'string' || !this.has(peer, claim.clientId)) return 'client';
    if (!isName(claim.userId)) return 'uid';
    return this.clock.accepts(claim.clock) ? undefined : 'clock';
  }

  /** Whether a gate has a client, as far as is known: it was born there, or its session has moved there. */
  private has(gate: Peer, clientId: string): boolean {
    return clientId.startsWith(gate.clientPrefix) || this.node.holders.find(clientId)?.peer === gate;
  }
}
