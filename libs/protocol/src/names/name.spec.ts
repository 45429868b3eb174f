import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isName, nameFault } from './name.js';

describe('names', () => {
  it.each([
    'a',
    '*',
    '>',
    'a..b',
    '$SYS',
    '_INBOX',
    ':',
    '{}',
    'two words',
    '🦊',
    '__proto__',
    'x'.repeat(128),
    'é'.repeat(64),
  ])('may be %j', name => expect(nameFault(name)).toBeUndefined());

  it.each([
    '',
    'x'.repeat(129),
    'é'.repeat(65),
    '🦊'.repeat(33),
    'a\nb',
    '\u0000',
    '\u007f',
    '\u0085',
    '\ud800',
    '\udc00a',
    5,
    null,
    {},
  ])('may not be %j', name => expect(isName(name)).toBe(false));

  it('are measured as UTF-8 encodes them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 140 }), name => {
        const bytes = new TextEncoder().encode(name);
        const clean = !/\p{Surrogate}/u.test(name) && !/[\u0000-\u001f\u007f-\u009f]/.test(name);
        expect(isName(name)).toBe(clean && bytes.length <= 128);
      }),
    );
  });
});
