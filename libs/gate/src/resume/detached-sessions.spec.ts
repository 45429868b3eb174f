import { describe, expect, it } from '@jest/globals';
import { DetachedSessions } from './detached-sessions.js';

function create(maxDetached: number, maxDetachedPerAddress: number) {
  const ended: string[] = [];
  const whys: string[] = [];
  const session = (name: string, ip = '10.0.0.1') => ({ ip, expire: () => void ended.push(name) });
  const sessions = new DetachedSessions(
    { maxDetached, maxDetachedPerAddress },
    ip => (ip === 'proxy' ? undefined : ip),
    why => void whys.push(why),
  );
  return { sessions, session, ended, whys };
}

describe('DetachedSessions', () => {
  it('ends the session that has been away longest when there are too many', () => {
    const { sessions, session, ended, whys } = create(2, 0);
    const first = session('first');
    sessions.add(first);
    sessions.add(session('second'));
    sessions.remove(first);
    sessions.add(first);
    sessions.add(session('third'));
    expect([ended, whys, sessions.size]).toEqual([['second'], ['full'], 2]);
  });

  it('ends the one of the same address that has been away longest', () => {
    const { sessions, session, ended, whys } = create(100, 2);
    sessions.add(session('other', '10.0.0.2'));
    for (const name of ['first', 'second', 'third', 'fourth']) sessions.add(session(name));
    expect([ended, whys, sessions.size]).toEqual([['first', 'second'], ['address', 'address'], 3]);
  });

  it('does not count those whose address says nothing', () => {
    const { sessions, session, ended } = create(100, 2);
    for (let i = 0; i < 10; i++) sessions.add(session(String(i), 'proxy'));
    expect([ended, sessions.size]).toEqual([[], 10]);
  });
});
