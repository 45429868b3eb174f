import { describe, expect, it } from '@jest/globals';
import { encodeBody, MAX_BODY_DEPTH } from './message.js';

function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 'the "[[[" bottom';
  for (let i = 0; i < depth; i++) value = wrap(value);
  return value;
}

/** The same on every version of Node: newer ones have no limit of their own. */
describe.each([
  ['arrays', (inner: unknown) => [inner]],
  ['objects', (inner: unknown) => ({ text: '[]"\\', inner })],
])('a body of nested %s', (_, wrap) => {
  it.each([2 * MAX_BODY_DEPTH, 15_000])('is refused when it is %d deep', depth => {
    expect(() => encodeBody(nested(depth, wrap))).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
  });

  it('is sent when it is deep within reason, and long', () => {
    const body = [nested(500, wrap), '['.repeat(50_000), nested(500, wrap)];
    expect(JSON.parse(Buffer.from(encodeBody(body).bytes).toString())).toEqual(body);
  });
});
