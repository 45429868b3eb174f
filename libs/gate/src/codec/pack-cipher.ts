import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { GateError } from '@nestgate/protocol';

/** How packs are encrypted: see `encryptKey`. */
export type EncryptMode = 'aes-256-gcm' | 'river-cbc';

/** Encrypts a pack after its first number, the length. */
export interface PackCipher {
  seal(plain: Buffer): Buffer;
  /** The plain bytes; `undefined` when they were not encrypted with this key. */
  open(sealed: Buffer): Buffer | undefined;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CBC_BLOCK = 16;

/** @throws {GateError} `BAD_ARGUMENT` for a key that the mode cannot use. */
export function createPackCipher(key: string, mode: EncryptMode): PackCipher {
  return mode === 'river-cbc' ? new RiverCbcCipher(key) : new GcmCipher(key);
}

/** AES-256-GCM: `12 nonce · ciphertext · 16 tag`. The key is the SHA-256 of the text. */
class GcmCipher implements PackCipher {
  private readonly key: Buffer;

  constructor(key: string) {
    if (key === '') throw new GateError('BAD_ARGUMENT', 'encryptKey: must not be empty');
    this.key = createHash('sha256').update(key).digest();
  }

  seal(plain: Buffer): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce);
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  open(sealed: Buffer): Buffer | undefined {
    if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

/**
 * The scheme of the original gate, for existing clients: base64, then AES-CBC with the last 16 bytes of the key as IV.
 * Weak: a fixed IV shows which packs start with the same bytes, and nothing detects that a pack was changed.
 */
class RiverCbcCipher implements PackCipher {
  private readonly key: Buffer;
  private readonly iv: Buffer;
  private readonly algorithm: string;

  constructor(key: string) {
    this.key = Buffer.from(key);
    const { length } = this.key;
    if (length !== 16 && length !== 24 && length !== 32) {
      throw new GateError(
        'BAD_ARGUMENT',
        `encryptKey: ${length} bytes are not allowed with river-cbc; allowed: 16, 24 or 32`,
      );
    }
    this.iv = this.key.subarray(-CBC_BLOCK);
    this.algorithm = `aes-${length * 8}-cbc`;
  }

  seal(plain: Buffer): Buffer {
    const cipher = createCipheriv(this.algorithm, this.key, this.iv);
    return Buffer.concat([cipher.update(plain.toString('base64'), 'latin1'), cipher.final()]);
  }

  open(sealed: Buffer): Buffer | undefined {
    if (sealed.length === 0 || sealed.length % CBC_BLOCK !== 0) return undefined;
    const decipher = createDecipheriv(this.algorithm, this.key, this.iv);
    let text: string;
    try {
      text = Buffer.concat([decipher.update(sealed), decipher.final()]).toString('latin1');
    } catch {
      return undefined;
    }
    const plain = Buffer.from(text, 'base64');
    // Node skips characters that are not base64. When the padding is valid by chance, only this check detects a wrong key.
    return plain.toString('base64') === text ? plain : undefined;
  }
}
