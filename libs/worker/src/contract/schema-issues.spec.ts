import { describe, expect, it } from '@jest/globals';
import type { AnySchema, SchemaResult } from '@nestgate/protocol';
import { issueDetails, issueText, validated } from './schema-issues.js';

function schema(validate: (value: unknown) => SchemaResult<unknown> | Promise<SchemaResult<unknown>>): AnySchema {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}
const refuse = (issues: Parameters<typeof issueText>[0]) => new RangeError(issueText(issues));
const bad = { issues: [{ message: 'must be a string', path: ['name'] }] };

describe('validated', () => {
  it('gives what comes out of a schema, and a promise only where the schema gives one', async () => {
    expect(
      validated(
        schema(value => ({ value: [value] })),
        1,
        refuse,
      ),
    ).toEqual([1]);
    const later = validated(
      schema(async value => ({ value: [value] })),
      1,
      refuse,
    );
    expect(later).toBeInstanceOf(Promise);
    expect(await later).toEqual([1]);
  });

  it('throws what is made of the issues; a promise rejects with it', async () => {
    expect(() =>
      validated(
        schema(() => bad),
        1,
        refuse,
      ),
    ).toThrow(new RangeError('name: must be a string'));
    await expect(
      validated(
        schema(async () => bad),
        1,
        refuse,
      ),
    ).rejects.toThrow(new RangeError('name: must be a string'));
  });
});

describe('issueDetails', () => {
  it('writes paths as a program does', () => {
    const paths = [
      undefined,
      [],
      ['name'],
      ['items', 2, 'name'],
      ['items', '2'],
      [0],
      [{ key: 'a' }, { key: 1 }],
      [Symbol('s')],
    ];
    expect(issueDetails(paths.map(path => ({ message: 'm', path }))).map(({ path }) => path)).toEqual([
      '',
      '',
      'name',
      'items[2].name',
      'items[2]',
      '[0]',
      'a[1]',
      'Symbol(s)',
    ]);
  });

  it('is bounded, whatever a client has sent', () => {
    const long = 'x'.repeat(100_000);
    const path = Array.from({ length: 10_000 }, () => long);
    const details = issueDetails(Array.from({ length: 10_000 }, () => ({ message: long, path })));
    expect(details).toHaveLength(21);
    expect(details[20]).toEqual({ path: '', message: '9980 more issues' });
    expect(JSON.stringify(details).length).toBeLessThan(10_000);
    expect(details[0]).toEqual({ path: `${'x'.repeat(127)}…`, message: `${'x'.repeat(255)}…` });
  });
});
