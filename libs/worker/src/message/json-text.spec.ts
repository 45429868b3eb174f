import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { jsonText } from './json-text.js';

describe('jsonText', () => {
  const piece = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('x', ' ', '~', '\u007f') },
    fc.constantFrom('"', '\\', '\u0000', '\u001f', '\n', 'é', '\u0122', '\u2028', '\ud800', '🦊'),
  );
  const long = fc
    .tuple(
      fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 70_000 })),
      fc.array(fc.tuple(piece, fc.nat(70_000)), { maxLength: 2 }),
    )
    .map(([size, pieces]) => {
      const text = Array.from({ length: size }, () => 'a');
      for (const [unit, at] of pieces) text[at % (size + 1)] = unit;
      return text.join('');
    });

  it('is what JSON.stringify makes of a text', () => {
    fc.assert(
      fc.property(long, text => expect(jsonText(text) === JSON.stringify(text)).toBe(true)),
      { numRuns: 300 },
    );
  });

  it('is what JSON.stringify makes of an object', () => {
    const field = fc.oneof(
      long,
      fc.jsonValue(),
      fc.constantFrom(undefined, new Date(0), () => 1, NaN, { toJSON: String }),
    );
    const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', '7', '"', 'toJSON'));
    fc.assert(
      fc.property(fc.dictionary(key, field), fc.boolean(), (object, hasPrototype) => {
        // Not by assignment, which a key `__proto__` would make the prototype.
        const empty = (hasPrototype ? {} : Object.create(null)) as object;
        const value: unknown = Object.defineProperties(empty, Object.getOwnPropertyDescriptors(object));
        expect(jsonText(value)).toBe(JSON.stringify(value));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    { text: 'x'.repeat(1_000), toJSON: () => 'short' },
    Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, 'x'.repeat(600)])),
    ['x'.repeat(1_000)],
    new (class Note {
      text = 'x'.repeat(1_000);
      toJSON = (): number => 7;
    })(),
    Object.create({ inherited: 'x'.repeat(1_000) }) as object,
    { key: { toJSON: (key: string) => `my key is ${key}` }, text: 'x'.repeat(1_000) },
  ])('leaves to JSON.stringify what is unusual', value => {
    expect(jsonText(value)).toBe(JSON.stringify(value));
  });
});
