import { describe, expect, it } from '@jest/globals';
import { GateError } from '@nestgate/protocol';
import { assertKnownOptions, kindOf } from './options.js';

const KNOWN = ['link', 'secret', 'nodeId', 'heartOverTimer', 'pingInterval'];

function refusalOf(options: unknown, path?: string): string {
  try {
    assertKnownOptions('WorkerModule', options, KNOWN, path);
  } catch (error) {
    expect(error).toBeInstanceOf(GateError);
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT' });
    return (error as GateError).message;
  }
  throw new Error('The options were accepted');
}

describe('assertKnownOptions', () => {
  it('accepts known keys, also with the value undefined', () => {
    expect(() => assertKnownOptions('WorkerModule', { link: 'memory:', secret: undefined }, KNOWN)).not.toThrow();
    expect(() => assertKnownOptions('WorkerModule', {}, KNOWN)).not.toThrow();
  });

  it.each([
    ['lnik', 'link'],
    ['Link', 'link'],
    ['LINK', 'link'],
    ['secrte', 'secret'],
    ['nodeID', 'nodeId'],
    ['node', 'nodeId'],
    ['heartBeatTimer', 'heartOverTimer'],
    ['pingIntervall', 'pingInterval'],
  ])('names the nearest known option of %s: %s', (key, nearest) => {
    expect(refusalOf({ [key]: 1 })).toBe(`WorkerModule: unknown option "${key}"; did you mean "${nearest}"?`);
  });

  it('lists what is known when nothing is near', () => {
    for (const key of ['verbose', 'toString', '__proto__x']) {
      expect(refusalOf({ [key]: 1 })).toBe(`WorkerModule: unknown option "${key}"; known: ${KNOWN.join(', ')}`);
    }
  });

  it('names the whole path of an option in a group', () => {
    expect(refusalOf({ lnk: 1 }, 'ws.')).toBe('WorkerModule: unknown option "ws.lnk"; did you mean "ws.link"?');
  });

  it('shows no value: it may be a secret under a misspelt name', () => {
    expect(refusalOf({ secert: 'hunter2' })).not.toContain('hunter2');
    expect(refusalOf('hunter2')).not.toContain('hunter2');
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [false, 'a boolean'],
    ['tcp://a:1', 'a string'],
    [[], 'an array'],
  ])('refuses %p in place of options', (options, kind) => {
    expect(refusalOf(options)).toBe(`WorkerModule: the options must be an object, but ${kind} was given`);
    expect(refusalOf(options, 'ws.')).toBe(`WorkerModule: option ws must be an object, but ${kind} was given`);
  });
});

describe('kindOf', () => {
  it('tells objects and functions too', () => {
    expect([kindOf({}), kindOf(() => 1), kindOf(1n)]).toEqual(['an object', 'a function', 'a bigint']);
  });
});
