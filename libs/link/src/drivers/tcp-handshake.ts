import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { GateError } from '@nestgate/protocol';
import type { NodeInfo, NodeRole } from '../link.js';
import { isNodeId } from '../client-id.js';

/** Bytes of a challenge. */
export const NONCE_BYTES = 32;
const MAC_BYTES = 32;
const ROLES: readonly NodeRole[] = ['gate', 'worker', 'api'];
/** Longest list of modules that a node may announce, and longest name of one. */
const MAX_MODULES = 10_000;
const MAX_TEXT = 128;

/**
 * The mutual challenge: each side sends a random nonce, and answers the other's with an HMAC over both nonces, its place
 * (who dialled), and what it says of itself. Nothing of it can be replayed, or reflected to the one who sent it.
 */
export class TcpHandshake {
  readonly nonce: Buffer = randomBytes(NONCE_BYTES);

  constructor(
    private readonly secret: string,
    private readonly isDialer: boolean,
  ) {}

  /** The proof that this side knows the secret, followed by what it says of itself. */
  prove(peerNonce: Buffer, self: NodeInfo): Buffer {
    const info = Buffer.from(JSON.stringify(self));
    return Buffer.concat([this.mac(this.isDialer, peerNonce, this.nonce, info), info]);
  }

  /**
   * What the other side says of itself, once its proof has been checked.
   * @throws {GateError} `UNAUTHORIZED` for a wrong proof, `LINK_CORRUPT` for information that no node can have.
   */
  verify(peerNonce: Buffer, proof: Buffer): NodeInfo {
    const info = proof.subarray(MAC_BYTES);
    const expected = this.mac(!this.isDialer, this.nonce, peerNonce, info);
    const given = proof.subarray(0, MAC_BYTES);
    if (given.length !== MAC_BYTES || !timingSafeEqual(expected, given)) throw new GateError('UNAUTHORIZED');
    return readNodeInfo(info);
  }

  private mac(byDialer: boolean, challenge: Buffer, own: Buffer, info: Buffer): Buffer {
    return createHmac('sha256', this.secret)
      .update(byDialer ? 'nestgate dialer' : 'nestgate listener')
      .update(challenge)
      .update(own)
      .update(info)
      .digest();
  }
}

/** @throws {GateError} `LINK_CORRUPT` for what is not a node's information. */
export function readNodeInfo(bytes: Buffer): NodeInfo {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  const { id, role, epoch, modules, draining } = (value ?? {}) as Record<string, unknown>;
  const isText = (item: unknown): item is string => typeof item === 'string' && item.length <= MAX_TEXT;
  if (
    !isNodeId(id) ||
    !ROLES.includes(role as NodeRole) ||
    !isText(epoch) ||
    !Array.isArray(modules) ||
    modules.length > MAX_MODULES ||
    !modules.every(isText) ||
    typeof draining !== 'boolean'
  ) {
    throw new GateError('LINK_CORRUPT', 'Malformed node information');
  }
  return { id, role: role as NodeRole, epoch, modules, draining };
}
