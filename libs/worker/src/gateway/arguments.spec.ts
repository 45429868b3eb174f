import { describe, expect, it } from '@jest/globals';
import {
  assertClientId,
  assertCount,
  assertWait,
  checkedSettings,
  idList,
  MAX_TARGETS,
  nameList,
} from './arguments.js';

const BAD_ARGUMENT = expect.objectContaining({ name: 'GateError', code: 'BAD_ARGUMENT' });
const many = (length: number, item: string) => Array.from({ length }, () => item);
const holes = (() => {
  const list = ['a'];
  list[2] = 'c';
  return list;
})();

describe('lists', () => {
  it('are copies of what was given, in which each is checked', () => {
    const given = ['b', 'a', 'b'];
    const names = nameList('group', given);
    expect(names).toEqual(['b', 'a', 'b']);
    given.pop();
    expect(names).toHaveLength(3);
    expect(nameList('group', 'one')).toEqual(['one']);
    expect(nameList('group', [])).toEqual([]);
    expect(() => nameList('group', ['a', ''])).toThrow(/^A group must not be empty/);
  });

  it.each([5, null, undefined, {}, { length: 0 }, [1], [null], [['a']], new Set(['a']), new String('a'), holes])(
    'are not %j',
    value => {
      expect(() => nameList('uid', value as string)).toThrow(BAD_ARGUMENT);
      expect(() => idList(value as string)).toThrow(BAD_ARGUMENT);
    },
  );

  it('of ids may hold what no gate has given out, as long as it is short text', () => {
    for (const id of ['', 'nobody', '\ud800', 'a b', '__proto__', 'x'.repeat(256)]) expect(idList(id)).toEqual([id]);
    expect(() => idList('x'.repeat(257))).toThrow(BAD_ARGUMENT);
  });

  it('have a limit in items and in bytes', () => {
    expect(idList(many(MAX_TARGETS, 'id'))).toHaveLength(MAX_TARGETS);
    expect(() => idList(many(MAX_TARGETS + 1, 'id'))).toThrow(/50001 targets/);
    expect(() => nameList('uid', many(100_000, 'u'))).toThrow(BAD_ARGUMENT);
    expect(() => nameList('uid', many(MAX_TARGETS, 'é'.repeat(64)))).toThrow(/6600000 bytes/);
    expect(() => assertCount(MAX_TARGETS)).not.toThrow();
    expect(() => assertCount(MAX_TARGETS + 1)).toThrow(BAD_ARGUMENT);
  });
});

describe('a client id', () => {
  it.each([5, null, undefined, {}, ['a'], Symbol('s'), 1n])('is not %p', value => {
    expect(() => assertClientId(value)).toThrow(BAD_ARGUMENT);
  });
});

describe('settings', () => {
  it('are copied', () => {
    const given = { list: [1], ['__proto__x']: null };
    const settings = checkedSettings(given);
    expect(settings).toEqual(given);
    given.list.push(2);
    expect(settings).toEqual({ list: [1], ['__proto__x']: null });
  });

  it('leave out a key that is undefined, at any depth, as JSON does', () => {
    expect(checkedSettings({ a: undefined, b: { c: undefined, d: 1 } })).toEqual({ b: { d: 1 } });
    expect(Object.keys(checkedSettings({ a: undefined }))).toEqual([]);
  });

  it('keep keys that mean something elsewhere', () => {
    const settings = checkedSettings(JSON.parse('{"__proto__":1,"constructor":{"__proto__":2}}') as never);
    expect(JSON.stringify(settings)).toBe('{"__proto__":1,"constructor":{"__proto__":2}}');
    expect(Object.getPrototypeOf(settings)).toBe(Object.getPrototypeOf({}));
  });

  it('may be an object of any class that has keys', () => {
    class Dto {
      constructor(readonly a: number) {}
    }
    expect(checkedSettings(new Dto(1) as never)).toEqual({ a: 1 });
    expect(checkedSettings(Object.assign(Object.create(null), { a: 1 }) as never)).toEqual({ a: 1 });
  });

  it.each([
    5,
    'text',
    null,
    undefined,
    ['a'],
    new Map([['a', 1]]),
    new Date(0),
    Promise.resolve({}),
    new Error('no'),
    Buffer.from('a'),
    () => 1,
    { a: 1n },
    { a: () => 1 },
    { a: Symbol('s') },
    { '': 1 },
    { ['x'.repeat(129)]: 1 },
    { '\ud800': 1 },
    { 'a\nb': 1 },
    { a: Buffer.from('a') },
  ])('are not %p', value => {
    expect(() => checkedSettings(value as never)).toThrow(BAD_ARGUMENT);
  });

  it('have a limit in bytes, also when no single value is large', () => {
    const parts = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`key ${n}`, 'x'.repeat(100_000)]));
    expect(() => checkedSettings(parts)).toThrow(/over the limit of 1048576/);
  });
});

describe('a deadline', () => {
  it.each([1, 0.5, 5_000, 2 ** 31 - 1])('may be %p ms', deadlineMs => {
    expect(() => assertWait({ deadlineMs })).not.toThrow();
  });

  it.each([0, -1, Number.NaN, Infinity, 2 ** 31, '100', null, {}, 1n])('may not be %p', deadlineMs => {
    expect(() => assertWait({ deadlineMs: deadlineMs as number })).toThrow(BAD_ARGUMENT);
  });

  it('may be left out', () => {
    for (const options of [undefined, {}, { deadlineMs: undefined }]) expect(() => assertWait(options)).not.toThrow();
  });
});
