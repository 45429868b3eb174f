import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CLOSE, closeReason, isSendableCloseCode, keepsSession } from './close-codes.js';

describe('isSendableCloseCode', () => {
  it.each([1000, 1001, 1002, 1003, 1007, 1008, 1013, 1014, 3000, 4001, 4999])('accepts %s', code => {
    expect(isSendableCloseCode(code)).toBe(true);
  });

  it.each([
    0,
    -1,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    2999,
    5000,
    65_536,
    1000.5,
    NaN,
    Infinity,
    '1000',
    null,
    undefined,
  ])('refuses %s', code => {
    expect(isSendableCloseCode(code)).toBe(false);
  });

  it('accepts all codes that a gate uses', () => {
    expect(Object.values(CLOSE).filter(({ code }) => !isSendableCloseCode(code))).toEqual([]);
  });
});

describe('keepsSession', () => {
  it('is true where the client may come back, and the session was not ended on purpose', () => {
    const all = [...Object.values(CLOSE).map(({ code }) => code), 1005, 1006, 3000, 4999];
    expect(all.filter(keepsSession).toSorted()).toEqual([1001, 1005, 1006, 1011, 1012, 1013, 4003, 4005]);
  });
});

describe('closeReason', () => {
  it('keeps what fits, and cuts the rest between two characters', () => {
    expect(closeReason('')).toBe('');
    expect(closeReason('x'.repeat(123))).toBe('x'.repeat(123));
    expect(closeReason('x'.repeat(200))).toBe('x'.repeat(123));
    expect(closeReason(`${'x'.repeat(122)}ä`)).toBe('x'.repeat(122));
    expect(closeReason(`${'x'.repeat(121)}😀`)).toBe('x'.repeat(121));
    expect(closeReason(`${'x'.repeat(122)}😀`)).toBe('x'.repeat(122));
    expect(closeReason('😀'.repeat(40))).toBe('😀'.repeat(30));
    expect(closeReason('a\ud800b')).toBe('a\ufffdb');
  });

  it('is a prefix of at most 123 bytes for every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
        const reason = closeReason(text);
        expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
        expect(Buffer.from(text).subarray(0, Buffer.byteLength(reason)).toString()).toBe(reason);
      }),
    );
  });
});
