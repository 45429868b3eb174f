import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Memberships } from './memberships.js';

const NAMES = ['a', 'b', 'c', '__proto__', 'constructor'];
const MEMBERS = [1, 2, 3, 4];

const step = fc.record({
  act: fc.constantFrom('add', 'add', 'remove', 'removeMember'),
  name: fc.constantFrom(...NAMES),
  member: fc.constantFrom(...MEMBERS),
});

describe('Memberships', () => {
  it('is two maps of sets that never disagree', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const memberships = new Memberships<number>();
        const model = new Map(NAMES.map(name => [name, new Set<number>()]));
        const modelOf = (name: string): Set<number> => model.get(name) as Set<number>;
        for (const { act, name, member } of steps) {
          const members = modelOf(name);
          if (act === 'add') {
            expect(memberships.add(name, member)).toBe(members.size === 0);
            members.add(member);
          } else if (act === 'remove') {
            expect(memberships.remove(name, member)).toBe(members.delete(member) && members.size === 0);
          } else {
            memberships.removeMember(member);
            for (const others of model.values()) others.delete(member);
          }

          for (const each of NAMES) expect(new Set(memberships.members(each))).toEqual(modelOf(each));
          for (const each of MEMBERS) {
            expect(new Set(memberships.namesOf(each))).toEqual(new Set(NAMES.filter(one => modelOf(one).has(each))));
          }
          const named = NAMES.filter(each => modelOf(each).size > 0);
          expect(new Set(memberships.names())).toEqual(new Set(named));
          expect(memberships.size).toBe(named.length);
        }
      }),
    );
  });
});
