import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { GateError } from '@nestgate/protocol';
import type { NodeInfo } from '../link.js';
import { readNodeInfo } from '../node-info.js';

/** Bytes of a challenge. */
export const NONCE_BYTES = 32;
const MAC_BYTES = 32;
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
