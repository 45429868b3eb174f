import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { GateError } from '@nestgate/protocol';
import type { NodeInfo } from '../../link.js';
import { readNodeInfo } from '../../node-info.js';
import { present } from '../../common/checked.js';

/** What connections speak. Nodes of another version are refused by name. */
const VERSION = 2;
const NONCE_BYTES = 32;
const MAC_BYTES = 32;
/** What stands for the encryption where there is none. */
const PLAIN = Buffer.alloc(32);

/**
 * The mutual challenge: each side sends a random nonce, and answers the other's with an HMAC over both nonces, its place
 * (who dialled), the encryption, and what it says of itself. Nothing of it can be replayed, or reflected to the one who
 * sent it, or handed on to another encrypted connection.
 *
 * It says who is at the other end, and nothing more: on a network where others can change what travels, use TLS.
 */
export class TcpHandshake {
  private readonly nonce: Buffer = randomBytes(NONCE_BYTES);
  private peerNonce: Buffer | undefined;

  /** `binding`: 32 bytes that only the two ends of the encryption know; left out without one. */
  constructor(
    private readonly secret: string,
    private readonly isDialer: boolean,
    private readonly binding: Buffer = PLAIN,
  ) {}

  /** Whether the other side has said hello. */
  get hasMet(): boolean {
    return this.peerNonce !== undefined;
  }

  hello(): Buffer {
    return Buffer.concat([Buffer.of(VERSION), this.nonce]);
  }

  /**
   * Takes the other side's hello.
   * @throws {GateError} `LINK_CORRUPT` for what is none, `BAD_ARGUMENT` for one of another version.
   */
  meet(hello: Buffer): void {
    const version = hello[0];
    if (version === undefined || this.peerNonce) throw new GateError('LINK_CORRUPT', 'Not a nestgate node');
    if (version !== VERSION) {
      throw new GateError('BAD_ARGUMENT', `Version ${VERSION} of the link does not go with version ${version}`);
    }
    if (hello.length !== 1 + NONCE_BYTES) throw new GateError('LINK_CORRUPT', 'Not a nestgate node');
    this.peerNonce = Buffer.from(hello.subarray(1));
  }

  /** The proof that this side knows the secret, followed by what it says of itself. */
  prove(self: NodeInfo): Buffer {
    const info = Buffer.from(JSON.stringify(self));
    return Buffer.concat([this.mac(this.isDialer, present(this.peerNonce), this.nonce, info), info]);
  }

  /**
   * What the other side says of itself, once its proof has been checked.
   * @throws {GateError} `UNAUTHORIZED` for a wrong proof, `LINK_CORRUPT` for information that no node can have.
   */
  verify(proof: Buffer): NodeInfo {
    const info = proof.subarray(MAC_BYTES);
    const expected = this.mac(!this.isDialer, this.nonce, present(this.peerNonce), info);
    const given = proof.subarray(0, MAC_BYTES);
    if (given.length !== MAC_BYTES || !timingSafeEqual(expected, given)) {
      throw new GateError('UNAUTHORIZED', 'The secret is not the same');
    }
    return readNodeInfo(info);
  }

  private mac(byDialer: boolean, challenge: Buffer, own: Buffer, info: Buffer): Buffer {
    return createHmac('sha256', this.secret)
      .update(byDialer ? 'nestgate dialer' : 'nestgate listener')
      .update(this.binding)
      .update(challenge)
      .update(own)
      .update(info)
      .digest();
  }
}
