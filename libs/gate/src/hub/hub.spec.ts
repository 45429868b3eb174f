import { beforeEach, describe, expect, it } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import type { ClientAgent } from '../client/client-agent.js';
import { Hub } from './hub.js';

describe('Hub', () => {
  let hub: Hub;

  beforeEach(() => {
    const self = { id: 'g1', epoch: 'e1', role: 'gate', modules: [], draining: false } as const;
    hub = new Hub(new LinkNode({ link: new MemoryBus().link(), self }));
  });

  /** The parts of an agent that the hub looks at. */
  function client(): ClientAgent {
    const serial = hub.nextSerial();
    const agent = { serial, sessionState: { origin: { sessionId: hub.clientId(serial) }, userId: '' } };
    hub.add(agent as unknown as ClientAgent);
    return agent as unknown as ClientAgent;
  }
  const idOf = ({ serial }: ClientAgent): string => hub.clientId(serial);

  it('finds a client by its id and its serial, and gives no serial again', () => {
    const [one, two] = [client(), client()];
    expect([hub.find(idOf(one)), hub.get(idOf(two)), hub.withSerial(two.serial), hub.size]).toEqual([one, two, two, 2]);
    hub.remove(two);
    expect([hub.find(idOf(two)), hub.withSerial(two.serial), hub.size]).toEqual([undefined, undefined, 1]);
    expect(client().serial).toBe(two.serial + 1);
  });

  it('finds no client of another gate or boot, whatever the serial', () => {
    const { serial } = client();
    const others = [`g2.e1.${serial}`, `g1.e0.${serial}`, `g1.e1.0${serial}`, `g1.e1.${serial}x`, 'g1.e1.', ''];
    expect(others.map(id => hub.find(id))).toEqual(others.map(() => undefined));
    for (const id of others) expect(() => hub.get(id)).toThrow(expect.objectContaining({ code: 'SESSION_NOT_FOUND' }));
  });

  it('takes a client out of its uid and groups when it is removed, and leaves the others in them', () => {
    const [one, two] = [client(), client()];
    for (const agent of [one, two]) {
      hub.uids.add('ada', agent);
      hub.groups.add('a', agent);
    }
    hub.groups.add('b', one);
    hub.remove(one);
    // Once more changes nothing.
    hub.remove(one);
    expect([[...hub.uids.members('ada')], [...hub.groups.members('a')], [...hub.groups.names()]]).toEqual([
      [two],
      [two],
      ['a'],
    ]);
  });

  it('takes nothing out for a client that was never in', () => {
    const one = client();
    hub.uids.add('ada', one);
    hub.remove({ serial: 99 } as ClientAgent);
    expect([[...hub.all()], [...hub.uids.members('ada')]]).toEqual([[one], [one]]);
  });

  it('names each client of several groups once', () => {
    const [one, two, three] = [client(), client(), client()];
    hub.groups.add('a', one);
    hub.groups.add('a', two);
    hub.groups.add('b', two);
    hub.groups.add('c', three);
    expect([...hub.union(hub.groups, ['a', 'b', 'nobody'])]).toEqual([one, two]);
    expect([...hub.union(hub.groups, ['b'])]).toEqual([two]);
    expect([...hub.union(hub.groups, [])]).toEqual([]);
  });

  it('finds those of many ids that are here, each once', () => {
    const [one, two] = [client(), client()];
    hub.remove(two);
    expect([...hub.present([idOf(one), idOf(two), idOf(one), 'g9.e1.1'])]).toEqual([one]);
  });
});
