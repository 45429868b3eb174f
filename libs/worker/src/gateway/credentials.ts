import type { ClientId, SessionSnapshot } from '@nestgate/link';
import type { Caller, SessionContract } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { assertName } from '../message/message.js';

/** What is known of the credentials by which a client is bound, in milliseconds since the epoch. */
export interface Credentials {
  /** When they were issued: what was issued before `GatewayApi.revoke` is refused. @defaultValue when the bind reached the gate */
  readonly issuedAt?: number | undefined;
  /** When they expire: the client is closed with 1008 then, unless `Session.toExpireAt` says otherwise before. */
  readonly expiresAt?: number | undefined;
}

/** Binds a client to a uid. @throws {GateError} `BAD_ARGUMENT` for a uid or moments that cannot be. */
export async function bindCall(
  gate: Caller<SessionContract>,
  clientId: ClientId,
  userId: string,
  credentials?: Credentials,
): Promise<SessionSnapshot> {
  assertName('uid', userId);
  const { issuedAt, expiresAt } = credentials ?? {};
  if (issuedAt === undefined && expiresAt === undefined) return gate.bind.call({ clientId, userId });
  assertMoment(issuedAt);
  assertMoment(expiresAt);
  return gate.authenticate.call({ clientId, userId, issuedAt, expiresAt });
}

/** @throws {GateError} `BAD_ARGUMENT` for what is no moment: it would never come. `null` and `undefined` are none, and fine. */
export function assertMoment(value: unknown): void {
  if (value === undefined || value === null || (typeof value === 'number' && Number.isFinite(value) && value >= 0))
    return;
  throw new GateError('BAD_ARGUMENT', 'A moment is a number of milliseconds since the epoch');
}
