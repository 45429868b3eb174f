import { beforeEach, describe, expect, it } from '@jest/globals';
import type { PresenceNotice } from '@nestgate/link/internal';
import fc from 'fast-check';
import { PresenceMirror } from './presence-mirror.js';

type Notice = Omit<PresenceNotice, 'number'>;

const about = (kind: Notice['kind'], userId = ''): Notice => ({ kind, group: '', clientId: '', userId });
const member = (kind: 'join' | 'leave', group: string, clientId: string, userId = ''): Notice => ({
  kind,
  group,
  clientId,
  userId,
});

describe('PresenceMirror', () => {
  let events: string[];
  let mirror: PresenceMirror;

  beforeEach(() => {
    events = [];
    mirror = new PresenceMirror(event => {
      const what = 'group' in event ? `${event.group} ${event.clientId} ${event.userId}`.trim() : event.userId;
      events.push(`${event.type} ${what}${event.isInitial ? ' initial' : ''}`);
    });
  });

  /** A gate says from the beginning what is on it. */
  function begin(gate: string, ...present: Notice[]): void {
    for (const notice of [about('reset'), ...present, about('ready')]) mirror.take(gate, notice);
  }
  const since = (): string[] => events.splice(0);

  it('tells nothing of a gate before that has told everything, and then all as what was there already', () => {
    mirror.take('g1', about('reset'));
    mirror.take('g1', about('online', 'ada'));
    mirror.take('g1', member('join', 'a', 'g1.e.1', 'ada'));
    expect(since()).toEqual([]);
    mirror.take('g1', about('ready'));
    expect(since()).toEqual(['online ada initial', 'join a g1.e.1 ada initial']);
    mirror.take('g1', about('online', 'bob'));
    mirror.take('g1', member('leave', 'a', 'g1.e.1', 'ada'));
    expect(since()).toEqual(['online bob', 'leave a g1.e.1 ada']);
  });

  it('tells a change once, and nothing of what has not changed', () => {
    begin('g1', about('online', 'ada'));
    since();
    mirror.take('g1', about('online', 'ada'));
    mirror.take('g1', about('offline', 'nobody'));
    mirror.take('g1', member('leave', 'a', 'g1.e.1'));
    mirror.take('g1', member('join', 'a', 'g1.e.1'));
    mirror.take('g1', member('join', 'a', 'g1.e.1'));
    expect(since()).toEqual(['join a g1.e.1']);
  });

  it('takes nothing of a gate that has not begun', () => {
    mirror.take('g1', about('online', 'ada'));
    mirror.take('g1', about('ready'));
    expect(since()).toEqual([]);
  });

  it('tells that a uid is online with its first gate, and offline with its last one', () => {
    begin('g1', about('online', 'ada'));
    begin('g2', about('online', 'ada'));
    expect(since()).toEqual(['online ada initial']);
    mirror.take('g1', about('offline', 'ada'));
    expect(since()).toEqual([]);
    mirror.drop('g2');
    expect(since()).toEqual(['offline ada']);
  });

  it('emits only what is different when a gate begins again', () => {
    begin('g1', about('online', 'ada'), about('online', 'bob'), member('join', 'a', 'g1.e.1', 'ada'));
    since();
    begin('g1', about('online', 'bob'), about('online', 'cat'), member('join', 'a', 'g1.e.2', 'cat'));
    expect(since()).toEqual(['offline ada', 'leave a g1.e.1 ada', 'online cat', 'join a g1.e.2 cat']);
  });

  it('keeps to what it knew while a gate begins again, and begins again with it when that is broken off', () => {
    begin('g1', about('online', 'ada'));
    since();
    mirror.take('g1', about('reset'));
    mirror.take('g1', about('online', 'bob'));
    mirror.take('g1', about('reset'));
    expect(since()).toEqual([]);
    mirror.take('g1', about('online', 'ada'));
    mirror.take('g1', about('ready'));
    expect(since()).toEqual([]);
  });

  it('emits the end of all that was on a gate that is gone, and nothing of an incomplete list', () => {
    begin('g1', about('online', 'ada'), member('join', 'a', 'g1.e.1', 'ada'));
    since();
    mirror.take('g1', about('reset'));
    mirror.take('g1', about('online', 'bob'));
    mirror.drop('g1');
    expect(since()).toEqual(['offline ada', 'leave a g1.e.1 ada']);
    mirror.take('g1', about('ready'));
    mirror.drop('g1');
    expect(since()).toEqual([]);
  });

  it('tells by turns that a uid comes and goes, and comes to what is there, whatever happens', () => {
    const gate = fc.constantFrom('g1', 'g2');
    const uid = fc.constantFrom('ada', 'bob');
    const step = fc.oneof(
      fc.record({ type: fc.constant('change'), gate, uid, isOn: fc.boolean() }),
      fc.record({ type: fc.constant('begin'), gate, uids: fc.uniqueArray(uid) }),
      fc.record({ type: fc.constant('drop'), gate }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), steps => {
        const online = new Set<string>();
        const there = new Map<string, Set<string>>();
        mirror = new PresenceMirror(event => {
          if (event.type === 'online') expect(online.has(event.userId)).toBe(false);
          else expect(online.has(event.userId)).toBe(true);
          if (event.type === 'online') online.add(event.userId);
          else online.delete(event.userId);
        });
        for (const each of steps) {
          if ('uids' in each) {
            begin(each.gate, ...each.uids.map(userId => about('online', userId)));
            there.set(each.gate, new Set(each.uids));
          } else if ('isOn' in each) {
            mirror.take(each.gate, about(each.isOn ? 'online' : 'offline', each.uid));
            if (each.isOn) there.get(each.gate)?.add(each.uid);
            else there.get(each.gate)?.delete(each.uid);
          } else {
            mirror.drop(each.gate);
            there.delete(each.gate);
          }
          const expected = new Set<string>();
          for (const uids of there.values()) for (const userId of uids) expected.add(userId);
          expect(online).toEqual(expected);
        }
      }),
    );
  });
});
