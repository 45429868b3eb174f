import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { createPackCipher, type EncryptMode } from './pack-cipher.js';

/** What stands behind the total of a pack with topic `a/b` and body `hi`. */
const PLAIN = Buffer.from('0300612f626869', 'hex');

const GCM_KEY = 'correct horse battery staple';
/** Made with AES in single blocks, and GHASH by hand: nonce `00…0b`, ciphertext, tag. */
const GCM_SEALED = Buffer.from('000102030405060708090a0b14cdbd7c0ec58bb7bb18bebf99c3f2e9506e156162324c', 'hex');

/** Made with `base64 | openssl enc -aes-…-cbc`. */
const RIVER: readonly (readonly [key: string, sealed: string])[] = [
  ['0123456789abcdef', '9cae5603eddcade217e368c0224ba947'],
  ['0123456789abcdefghijklmn', 'eb262e00373d64d7962300b4113f8da8'],
  ['0123456789abcdefghijklmnopqrstuv', '187797de32d72ac7343c95dc275f5721'],
];
const RIVER_KEY = RIVER[0]?.[0] ?? '';

const MODES: readonly (readonly [EncryptMode, string])[] = [
  ['aes-256-gcm', GCM_KEY],
  ['river-cbc', RIVER_KEY],
];

/** Encrypts with the key's last 16 bytes as IV, without what `river-cbc` does before. */
function cbc(key: string, text: string): Buffer {
  const bytes = Buffer.from(key);
  const cipher = createCipheriv(`aes-${bytes.length * 8}-cbc`, bytes, bytes.subarray(-16));
  return Buffer.concat([cipher.update(text, 'latin1'), cipher.final()]);
}

describe.each(MODES)('a cipher of %s', (mode, key) => {
  const cipher = createPackCipher(key, mode);

  it('opens what it has sealed, of every length', () => {
    for (let length = 0; length < 70; length++) {
      const plain = Buffer.from(Array.from({ length }, (_, i) => (i * 37) & 0xff));
      expect(cipher.open(cipher.seal(plain))?.equals(plain)).toBe(true);
    }
    const large = Buffer.alloc(65_000, 'x');
    expect(cipher.open(cipher.seal(large))?.equals(large)).toBe(true);
  });

  it('seals all byte values', () => {
    const plain = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    expect(cipher.open(cipher.seal(plain))?.equals(plain)).toBe(true);
  });

  it('leaves what it is given as it is', () => {
    const plain = Buffer.from(PLAIN);
    const sealed = cipher.seal(plain);
    const copy = Buffer.from(sealed);
    cipher.open(sealed);
    expect([plain.equals(PLAIN), sealed.equals(copy)]).toEqual([true, true]);
  });

  it('refuses what is too short, or not sealed at all', () => {
    const sealed = cipher.seal(PLAIN);
    for (let length = 0; length < sealed.length; length++)
      expect(cipher.open(sealed.subarray(0, length))).toBe(undefined);
    expect(cipher.open(PLAIN)).toBeUndefined();
    expect(cipher.open(Buffer.concat([sealed, Buffer.of(0)]))).toBeUndefined();
  });

  it('refuses what another key has sealed', () => {
    for (let n = 0; n < 2_000; n++) {
      const other = createPackCipher(String(n).padStart(16, 'k'), mode);
      expect([n, cipher.open(other.seal(PLAIN))]).toEqual([n, undefined]);
    }
  });
});

describe('aes-256-gcm', () => {
  const cipher = createPackCipher(GCM_KEY, 'aes-256-gcm');

  it('opens a known ciphertext', () => {
    expect(cipher.open(GCM_SEALED)?.equals(PLAIN)).toBe(true);
  });

  it('seals as nonce, ciphertext and tag, with the SHA-256 of the text as key', () => {
    const sealed = cipher.seal(PLAIN);
    expect(sealed.length).toBe(12 + PLAIN.length + 16);
    const key = createHash('sha256').update(GCM_KEY, 'utf8').digest();
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12));
    decipher.setAuthTag(sealed.subarray(12 + PLAIN.length));
    const plain = Buffer.concat([decipher.update(sealed.subarray(12, 12 + PLAIN.length)), decipher.final()]);
    expect(plain.equals(PLAIN)).toBe(true);
  });

  it('never uses a nonce again', () => {
    const nonces = new Set(Array.from({ length: 1_000 }, () => cipher.seal(PLAIN).subarray(0, 12).toString('hex')));
    expect(nonces.size).toBe(1_000);
  });

  it('notices every changed bit', () => {
    for (let bit = 0; bit < GCM_SEALED.length * 8; bit++) {
      const changed = Buffer.from(GCM_SEALED);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect([bit, cipher.open(changed)]).toEqual([bit, undefined]);
    }
  });

  it('takes a key of any length, but not none', () => {
    for (const key of ['k', 'schlüssel 🔑', 'k'.repeat(500)]) {
      const any = createPackCipher(key, 'aes-256-gcm');
      expect(any.open(any.seal(PLAIN))?.equals(PLAIN)).toBe(true);
    }
    expect(() => createPackCipher('', 'aes-256-gcm')).toThrow(/encryptKey/);
  });
});

describe('river-cbc', () => {
  it.each(RIVER)('seals and opens known ciphertexts with the key %s', (key, sealed) => {
    const cipher = createPackCipher(key, 'river-cbc');
    expect(cipher.seal(PLAIN).toString('hex')).toBe(sealed);
    expect(cipher.open(Buffer.from(sealed, 'hex'))?.equals(PLAIN)).toBe(true);
  });

  it('refuses what is not base64 inside, which Node would read all the same', () => {
    const cipher = createPackCipher(RIVER_KEY, 'river-cbc');
    expect(cipher.open(cbc(RIVER_KEY, 'AwBhL2JoaQ=='))?.equals(PLAIN)).toBe(true);
    for (const text of [
      'AwBhL2JoaQ',
      'AwBhL2JoaQ=',
      'AwBh L2JoaQ==',
      'AwBhL2JoaQ==AwBh',
      '\0wBhL2JoaQ==',
      'AwBhL-_oaQ==',
    ]) {
      expect([text, cipher.open(cbc(RIVER_KEY, text))]).toEqual([text, undefined]);
    }
  });

  it.each(['', 'k'.repeat(15), 'k'.repeat(17), 'k'.repeat(33), 'é'.repeat(9)])('refuses the key %j', key => {
    expect(() => createPackCipher(key, 'river-cbc')).toThrow(
      expect.objectContaining({ code: 'BAD_ARGUMENT', message: expect.stringMatching(/encryptKey.*16, 24 or 32/) }),
    );
  });

  it('counts the bytes of a key, not its characters', () => {
    const cipher = createPackCipher('é'.repeat(8), 'river-cbc');
    expect(cipher.open(cipher.seal(PLAIN))?.equals(PLAIN)).toBe(true);
  });
});
