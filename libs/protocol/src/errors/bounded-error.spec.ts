import { describe, expect, it } from '@jest/globals';
import {
  boundError,
  boundErrorBody,
  MAX_ERROR_CODE,
  MAX_ERROR_DETAILS_BYTES,
  MAX_ERROR_MESSAGE,
} from './bounded-error.js';
import { MAX_JSON_DEPTH } from '../frames/json-decoder.js';

const deep = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
};

describe('an error that travels', () => {
  it('is as it was when it is small', () => {
    const details = { why: ['a', { b: 1 }], deep: deep(MAX_JSON_DEPTH - 1) };
    const error = { code: 'MINE', message: 'no', details };
    expect(boundError(error)).toEqual({ ...error, details: JSON.stringify(details), isTruncated: false });
    expect(boundErrorBody(error)).toBe(error);
    expect(boundError({ code: 'MINE', message: 'no' })).toMatchObject({ details: '', isTruncated: false });
    expect(boundError({ code: 'MINE', message: 'no', details: () => 1 })).toMatchObject({ details: '' });
  });

  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  it.each<[string, unknown, object]>([
    [
      'a byte too large',
      'x'.repeat(MAX_ERROR_DETAILS_BYTES - 1),
      { truncated: true, bytes: MAX_ERROR_DETAILS_BYTES + 1 },
    ],
    ['17 MB', { all: 'é'.repeat(8_500_000) }, { truncated: true, bytes: 17_000_010 }],
    ['too deep to be read', deep(MAX_JSON_DEPTH + 1), { truncated: true, bytes: 2 * MAX_JSON_DEPTH + 3 }],
    ['cyclic', cyclic, { truncated: true }],
    ['no JSON', { n: 1n }, { truncated: true }],
    [
      'broken',
      {
        toJSON: () => {
          throw new Error('a secret');
        },
      },
      { truncated: true },
    ],
  ])('keeps code and message when its details are %s', (_what, details, mark) => {
    const error = { code: 'MINE', message: 'no', details };
    expect(boundError(error)).toEqual({
      code: 'MINE',
      message: 'no',
      details: JSON.stringify(mark),
      isTruncated: true,
    });
    expect(boundErrorBody(error)).toEqual({ code: 'MINE', message: 'no', details: mark });
  });

  it('survives details that are far too deep for any engine', () => {
    const { code, details, isTruncated } = boundError({ code: 'MINE', message: 'no', details: deep(200_000) });
    expect([code, isTruncated, details.startsWith('{"truncated":true')]).toEqual(['MINE', true, true]);
  });

  it('has a code and a message of bounded length, whatever they were', () => {
    const long = boundError({ code: 'C'.repeat(1_000_000), message: 'm'.repeat(1_000_000) });
    expect([long.code.length, long.message.length, long.isTruncated]).toEqual([
      MAX_ERROR_CODE,
      MAX_ERROR_MESSAGE,
      true,
    ]);
    expect(long.message.endsWith('m…')).toBe(true);
    expect(boundError({ code: 5, message: undefined } as never)).toMatchObject({ code: '5', message: 'undefined' });
  });
});
