import { describe, expect, it } from '@jest/globals';
import type { Settings } from '@nestgate/link';
import { SessionState, settingsFromStored } from './session-state.js';

const ORIGIN = {
  sessionId: 'g.e.1',
  serverId: 'g',
  ip: '::1',
  network: 'ws',
  connectedAt: 5,
  traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};

function create(maxSettingsBytes = 1_000): SessionState {
  return new SessionState(ORIGIN, maxSettingsBytes);
}

function parse(text: string): Settings {
  return JSON.parse(text) as Settings;
}

describe('SessionState', () => {
  it('begins as a guest without settings', () => {
    expect(create().snapshot()).toEqual({ ...ORIGIN, userId: '', settings: {}, version: 1 });
  });

  it('makes a new version with every change, and only then', () => {
    const state = create();
    const versions = [
      () => state.setUserId('u'),
      () => state.setUserId('u'),
      () => state.merge({ a: 1 }),
      () => state.replace({ b: 2 }),
      () => state.delete('a'),
      () => state.delete('b'),
      () => state.setUserId(''),
    ].map(change => {
      change();
      return state.version;
    });
    expect(versions).toEqual([2, 2, 3, 4, 4, 5, 6]);
    expect(state.snapshot()).toMatchObject({ userId: '', settings: {}, version: 6 });
  });

  it('gives the same snapshot until something changes, and never changes one it has given', () => {
    const state = create();
    state.merge({ a: 1 });
    const before = state.snapshot();
    expect(state.snapshot()).toBe(before);
    state.merge({ a: 2 });
    state.setUserId('u');
    expect(before).toMatchObject({ userId: '', settings: { a: 1 }, version: 2 });
    expect(state.snapshot()).toMatchObject({ userId: 'u', settings: { a: 2 }, version: 4 });
  });

  it('merges key by key, and replaces as a whole', () => {
    const state = create();
    state.merge({ a: { deep: 1 }, b: null });
    state.merge({ a: { other: 2 } });
    expect(state.snapshot().settings).toEqual({ a: { other: 2 }, b: null });
    state.replace({ c: false });
    expect(state.snapshot().settings).toEqual({ c: false });
    expect([state.get('a'), state.get('c')]).toEqual([undefined, false]);
  });

  it('holds settings up to its limit in bytes of JSON', () => {
    const state = create(12);
    state.merge({ a: 'éé' });
    expect(state.get('a')).toBe('éé');
    expect(() => state.merge({ a: 'éé!' })).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
  });

  it.each(['merge', 'replace'] as const)('changes nothing when %s is refused', change => {
    const state = create(20);
    state.merge({ a: 1 });
    const before = state.snapshot();
    const refused: [Settings, string][] = [
      [{ ok: 1, long: 'x'.repeat(20) }, 'LIMIT_EXCEEDED'],
      [{ ok: 1, '': 1 }, 'BAD_ARGUMENT'],
      [{ ok: 1, 'a\n': 1 }, 'BAD_ARGUMENT'],
      [{ ok: 1, ['k'.repeat(129)]: 1 }, 'BAD_ARGUMENT'],
    ];
    for (const [settings, code] of refused) {
      expect(() => state[change](settings)).toThrow(expect.objectContaining({ code }));
      expect(state.snapshot()).toBe(before);
    }
  });

  it('counts what is there already when it merges', () => {
    const state = create(20);
    state.merge({ a: 'xxxx' });
    expect(() => state.merge({ b: 'xxxxx' })).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
    state.replace({ b: 'xxxxx' });
    expect(state.snapshot().settings).toEqual({ b: 'xxxxx' });
  });

  it('takes any name for a key, __proto__ too', () => {
    const state = create();
    state.merge(parse('{"__proto__":{"admin":true},"constructor":1,"hasOwnProperty":2}'));
    const { settings } = state.snapshot();
    expect(JSON.stringify(settings)).toBe('{"__proto__":{"admin":true},"constructor":1,"hasOwnProperty":2}');
    expect(Object.getPrototypeOf(settings)).toBe(Object.prototype);
    expect('admin' in settings).toBe(false);
    expect(state.get('__proto__')).toEqual({ admin: true });
    expect(state.get('toString')).toBeUndefined();
    state.delete('__proto__');
    expect(JSON.stringify(state.snapshot().settings)).toBe('{"constructor":1,"hasOwnProperty":2}');
  });

  it('counts __proto__ against the limit', () => {
    expect(() => create(20).merge(parse(`{"__proto__":"${'x'.repeat(20)}"}`))).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED' }),
    );
  });

  it('may be made smaller, and no larger, when it is too large already', () => {
    const state = create(20);
    state.adopt({ a: 'x'.repeat(30), b: 1 });
    expect(() => state.merge({ b: 22 })).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
    state.merge({ a: 'x'.repeat(25) });
    state.delete('a');
    state.merge({ b: 22 });
    expect(state.snapshot().settings).toEqual({ b: 22 });
  });

  it('has a draft that changes nothing of it', () => {
    const state = create();
    state.merge({ a: 1 });
    const draft = state.draft();
    draft.merge({ a: 2 });
    expect([state.get('a'), draft.get('a'), draft.version]).toEqual([1, 2, state.version + 1]);
  });

  describe('settings from what is stored', () => {
    it('are a copy of what JSON carries', () => {
      const text = '{"b":20,"c":{"d":[1]},"__proto__":4}';
      const stored = parse(text);
      const settings = settingsFromStored(stored, 100);
      expect(JSON.stringify(settings)).toBe(text);
      expect(settings['c']).not.toBe((stored as Settings)['c']);
      expect(settingsFromStored({ a: undefined, at: new Date(0) }, 100)).toEqual({ at: '1970-01-01T00:00:00.000Z' });
    });

    it.each([undefined, null])('are none when that is %p', stored => {
      expect(settingsFromStored(stored, 100)).toEqual({});
    });

    it.each(['text', 5, true, [[1]], { '': 1 }, { 'a\nb': 1 }, { a: 1n }, { a: 'x'.repeat(100) }])(
      'are not %p',
      stored => {
        expect(() => settingsFromStored(stored, 100)).toThrow();
      },
    );
  });
});
