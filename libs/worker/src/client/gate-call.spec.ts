import { describe, expect, it } from '@jest/globals';
import { sessionContract } from '@nestgate/link/internal';
import { BodyKind, JsonText, GateError, NO_BODY } from '@nestgate/protocol';
import { prepareCall } from './gate-call.js';
import { GATE_PATTERNS } from './gate-patterns.js';

const message = { topic: 'a/b', body: { n: 1 } };
const encoded = { topic: 'a/b', body: new JsonText('{"n":1}') };

function refusal(pattern: unknown, data: unknown): GateError {
  try {
    prepareCall(pattern, data);
  } catch (error) {
    expect(error).toBeInstanceOf(GateError);
    return error as GateError;
  }
  throw new Error('It was not refused');
}

const argsOf = (pattern: string, data: unknown): unknown => prepareCall(pattern, data).args;

describe('the patterns', () => {
  it('are all operations of the contract but the internal ones', () => {
    const internal = ['sync', 'clientIdPage', 'uidPage', 'groupPage'];
    expect([...GATE_PATTERNS, ...internal].sort()).toEqual(Object.keys(sessionContract).sort());
    expect(Object.isFrozen(GATE_PATTERNS)).toBe(true);
  });

  it.each([
    'sync',
    'nothing',
    'toString',
    '__proto__',
    '',
    'x'.repeat(10_000),
    null,
    undefined,
    5,
    { cmd: 'bind' },
    [],
  ])('are no others: %j', pattern => {
    const error = refusal(pattern, {});
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT', details: { allowed: GATE_PATTERNS } });
    expect(error.message).toMatch(/^Unknown pattern .*; allowed: load, bind, /);
    expect(error.message.length).toBeLessThan(500);
  });

  it('can be cast where nobody has to wait for the outcome', () => {
    expect(GATE_PATTERNS.filter(pattern => sessionContract[pattern].reply === 'optional').sort()).toEqual([
      'broadcast',
      'send',
      'sendToGroup',
      'sendToUid',
    ]);
    expect(prepareCall('send', { clientIds: [], ...message }).canCast).toBe(true);
    expect(prepareCall('bind', { clientId: 'g.e.1', userId: 'u' }).canCast).toBe(false);
  });
});

describe('the arguments', () => {
  it('are taken as the contract has them', () => {
    expect(argsOf('bind', { clientId: 'g.e.1', userId: 'u' })).toEqual({ clientId: 'g.e.1', userId: 'u' });
    expect(argsOf('unbind', { clientId: 'g.e.1' })).toEqual({ clientId: 'g.e.1' });
    expect(argsOf('groups', {})).toEqual({});
    expect(argsOf('broadcast', message)).toEqual(encoded);
    expect(argsOf('close', { clientId: 'g.e.1', message })).toEqual({ clientId: 'g.e.1', message: encoded });
    expect(argsOf('close', { clientId: 'g.e.1', message: undefined })).toEqual({ clientId: 'g.e.1' });
    expect(argsOf('set', { clientId: 'c', key: 'k', value: null })).toEqual({ clientId: 'c', key: 'k', value: null });
  });

  it.each([
    ['sendToUid', 'uids'],
    ['sendToGroup', 'groups'],
    ['send', 'clientIds'],
    ['broadcast', 'except'],
  ])('of %s may be one or several %s', (pattern, field) => {
    expect(argsOf(pattern, { ...message, [field]: 'x' })).toEqual({ ...encoded, [field]: ['x'] });
    expect(argsOf(pattern, { ...message, [field]: ['x', 'y'] })).toEqual({ ...encoded, [field]: ['x', 'y'] });
  });

  it('have a body of any kind, encoded once', () => {
    const bodyOf = (body: unknown) => (argsOf('sendToUid', { uids: 'u', topic: 'a', body }) as { body: unknown }).body;
    expect(bodyOf(undefined)).toBe(NO_BODY);
    expect(argsOf('sendToUid', { uids: 'u', topic: 'a' })).toMatchObject({ body: NO_BODY });
    expect(bodyOf('text')).toEqual(new JsonText('text', true));
    expect(bodyOf(null)).toEqual(new JsonText('null'));
    expect(bodyOf(new Uint8Array([1, 2]))).toEqual({ kind: BodyKind.bytes, bytes: Buffer.from([1, 2]) });
    let encodings = 0;
    bodyOf({ toJSON: () => ++encodings });
    expect(encodings).toBe(1);
  });

  it('are copies', () => {
    const body = Buffer.from('mine');
    const uids = ['u'];
    const settings = { list: [1] };
    const pushed = argsOf('sendToUid', { uids, topic: 'a', body });
    const replaced = argsOf('replace', { clientId: 'c', settings });
    body.fill(0);
    uids.push('v');
    settings.list.push(2);
    expect(pushed).toMatchObject({ uids: ['u'], body: { bytes: Buffer.from('mine') } });
    expect(replaced).toEqual({ clientId: 'c', settings: { list: [1] } });
  });

  it('keep keys of any name', () => {
    const settings = JSON.parse('{"__proto__":{"x":1},"constructor":2}') as object;
    const args = argsOf('push', { clientId: 'c', settings }) as { settings: object };
    expect(Object.entries(args.settings)).toEqual([
      ['__proto__', { x: 1 }],
      ['constructor', 2],
    ]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('may be many, and not too many', () => {
    const clientIds = Array.from({ length: 50_000 }, (_, n) => `gate-0123456789.mabcdefgh.${n.toString(36)}`);
    expect(argsOf('send', { clientIds, ...message })).toMatchObject({ clientIds: { length: 50_000 } });
    expect(refusal('send', { clientIds: [...clientIds, 'x'], ...message }).message).toMatch(
      /^send: clientIds: .*limit/,
    );
    const uids = Array.from({ length: 50_000 }, (_, n) => `${n}`.padEnd(128, 'x'));
    expect(refusal('sendToUid', { uids, ...message }).message).toMatch(/^sendToUid: uids: .* bytes .*limit/);
  });
});

class Throws {
  get clientId(): string {
    throw new RangeError('not today');
  }
}

const cycle: unknown[] = [];
cycle.push(cycle);
const client = { clientId: 'g.e.1' };

describe('hostile arguments', () => {
  it.each([
    ['load', undefined, 'The data must be an object'],
    ['load', null, 'The data must be an object'],
    ['load', 'g.e.1', 'The data must be an object'],
    ['load', ['g.e.1'], 'The data must be an object'],
    ['load', () => client, 'The data must be an object'],
    ['load', Promise.resolve(client), 'The data must be an object'],
    ['load', new Map([['clientId', 'c']]), 'The data must be an object'],
    ['load', {}, 'clientId: A client id must be a string'],
    ['load', { clientId: { toString: () => 'g.e.1' } }, 'clientId: A client id must be a string'],
    ['load', { clientId: ['g.e.1'] }, 'clientId: A client id must be a string'],
    ['load', { clientId: 'x'.repeat(257) }, 'clientId: A client id has at most 256 characters'],
    ['load', { ...client, more: 1 }, 'it does not take "more", but clientId'],
    ['load', JSON.parse('{"clientId":"c","__proto__":1}'), 'it does not take "__proto__", but clientId'],
    ['groups', { group: 'g' }, 'it does not take "group", but nothing'],
    ['load', new Throws(), 'not today'],
    ['bind', client, 'userId: A uid must be a string'],
    ['bind', { ...client, userId: '' }, 'userId: A uid must not be empty'],
    ['bind', { ...client, userId: 1n }, 'userId: A uid must be a string'],
    ['bind', { ...client, userId: Symbol('u') }, 'userId: A uid must be a string'],
    ['unbind', { ...client, userId: null }, 'userId: A uid must be a string'],
    ['joinGroup', { ...client, group: 'a\nb' }, 'group: A group must not contain control characters'],
    ['joinGroup', { ...client, group: '\ud800' }, 'group: A group must not contain lone surrogates'],
    ['set', { ...client, key: 'k' }, 'value: A session value must be JSON'],
    ['set', { ...client, key: 'k', value: () => 1 }, 'value: A function cannot be sent'],
    ['set', { ...client, key: 'k', value: 1n }, /^set: value: settings.value is a BigInt, which/],
    ['set', { ...client, key: 'k', value: cycle }, /^set: value: settings.value\[0\] is a part of itself, which/],
    ['set', { ...client, key: 'k', value: Buffer.from('x') }, 'value: A session value must be JSON'],
    [
      'set',
      { ...client, key: 'k', value: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]] },
      /nests at most/,
    ],
    ['set', { ...client, key: {}, value: 1 }, 'key: A session key must be a string'],
    ['push', { ...client, settings: {}, deep: 1 }, 'deep: A flag must be true or false'],
    ['push', { ...client, settings: 'text' }, 'settings: Settings must be an object'],
    ['push', { ...client, settings: [1] }, 'settings: Settings must be an object'],
    ['push', { ...client, settings: new Map() }, 'settings: Settings must be an object'],
    ['push', { ...client, settings: Buffer.from('x') }, 'settings: Settings must be an object'],
    ['push', { ...client, settings: { a: () => 1 } }, 'settings: A function cannot be sent'],
    ['push', { ...client, settings: { '': 1 } }, 'settings: A session key must not be empty'],
    ['push', { ...client, settings: { a: 'x'.repeat(600_000), b: 'x'.repeat(600_000) } }, /over the limit/],
    ['send', message, 'clientIds: A client id must be a string, or an array of strings'],
    ['send', { clientIds: [{}], ...message }, 'clientIds: A client id must be a string'],
    ['send', { clientIds: { length: 1, 0: 'c' }, ...message }, /must be a string, or an array of strings/],
    ['sendToUid', { uids: ['u', ''], ...message }, 'uids: A uid must not be empty'],
    ['sendToGroup', { groups: [['g']], ...message }, 'groups: A group must be a string'],
    ['broadcast', {}, 'topic: A topic must be a string'],
    ['broadcast', { topic: Object.create(null) as unknown }, 'topic: A topic must be a string'],
    ['broadcast', { topic: '$gate/hello' }, 'topic: Not a topic'],
    ['broadcast', { topic: 'a', body: 1n }, /^broadcast: body: .*body is a BigInt, which/],
    ['broadcast', { topic: 'a', body: { cycle } }, /^broadcast: body: .*body.cycle\[0\] is a part of itself, which/],
    ['broadcast', { topic: 'a', body: () => 1 }, 'body: A function cannot be sent'],
    ['broadcast', { topic: 'a', body: Buffer.alloc(2 ** 20 + 1) }, /over the limit/],
    ['broadcast', { topic: 'a', clientIds: null }, /^broadcast: clientIds: /],
    ['close', { ...client, message: 'bye' }, 'message: A message must be an object'],
    ['close', { ...client, message: { topic: 5 } }, 'message: A topic must be a string'],
    ['close', { ...client, message: { ...message, id: 1 } }, /^close: message: A message has a topic and a body/],
  ])('are refused by %s: %#', (pattern, data, why) => {
    const error = refusal(pattern, data);
    expect(error.code).toBe('BAD_ARGUMENT');
    if (typeof why === 'string') expect(error.message).toBe(`${pattern}: ${why}`);
    else expect(error.message).toMatch(why);
  });

  it('whatever they throw', () => {
    for (const thrown of [null, 'text', new TypeError('no'), { message: 5 }]) {
      const toJSON = () => {
        throw thrown;
      };
      expect(refusal('broadcast', { topic: 'a', body: { toJSON } }).code).toBe('BAD_ARGUMENT');
      expect(refusal('push', { ...client, settings: { a: { toJSON } } }).code).toBe('BAD_ARGUMENT');
    }
  });

  it('and however deep they nest', () => {
    let deep: unknown[] = [];
    for (let i = 0; i < 200_000; i++) deep = [deep];
    expect(refusal('broadcast', { topic: 'a', body: deep }).code).toBe('BAD_ARGUMENT');
    expect(refusal('set', { ...client, key: 'k', value: deep }).code).toBe('BAD_ARGUMENT');
  });
});
