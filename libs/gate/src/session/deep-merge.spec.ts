import { describe, expect, it } from '@jest/globals';
import { deepMerged } from './deep-merge.js';

describe('deepMerged', () => {
  it('merges objects key by key, and replaces everything else', () => {
    const settings = { a: { x: 1, y: { z: 1 } }, list: [1, 2], text: 'old', kept: 1 };
    expect(deepMerged(settings, { a: { y: { w: 2 } }, list: [3], text: { now: 'an object' }, fresh: null })).toEqual({
      a: { x: 1, y: { z: 1, w: 2 } },
      list: [3],
      text: { now: 'an object' },
      fresh: null,
    });
    expect(settings.a).toEqual({ x: 1, y: { z: 1 } });
  });

  it('treats any key as data', () => {
    const settings = JSON.parse('{"__proto__":{"a":1},"o":{"__proto__":{"a":1}}}') as Record<string, never>;
    const changes = JSON.parse(
      '{"__proto__":{"b":2},"o":{"__proto__":{"b":2}},"constructor":{"c":3}}',
    ) as typeof settings;
    expect(JSON.stringify(deepMerged(settings, changes))).toBe(
      '{"__proto__":{"a":1,"b":2},"o":{"__proto__":{"a":1,"b":2}},"constructor":{"c":3}}',
    );
    expect(({} as { b?: number }).b).toBeUndefined();
  });

  it('replaces what nests too deep to be merged', () => {
    const nested = (leaf: string): never => {
      let value: unknown = { [leaf]: 1 };
      for (let i = 0; i < 200; i++) value = { in: value };
      return value as never;
    };
    const merged = JSON.stringify(deepMerged({ k: nested('old') }, { k: nested('new') }));
    expect(merged).toContain('new');
    expect(merged).not.toContain('old');
  });
});
