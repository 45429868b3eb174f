import { beforeEach, describe, expect, it } from '@jest/globals';
import type { LinkNode } from '@nestgate/link';
import { type IncomingCall, type Peer, pushContract, receiptContract, sessionContract } from '@nestgate/link/internal';
import { NO_BODY } from '@nestgate/protocol';
import type { ClientAgent } from '../../client/client-agent.js';
import type { Hub } from '../../hub/hub.js';
import type { Standstill } from '../../hub/standstill.js';
import { type MovableHandlers, MovingSessions } from './moving-sessions.js';

type Table = Record<string, (args: unknown, call?: IncomingCall) => unknown>;

const agentOf = (sessionId: string, serial = 1) =>
  ({ serial, sessionState: { origin: { sessionId } } }) as unknown as ClientAgent;
const peerOf = (id: string) => {
  const sent: unknown[] = [];
  const peer = {
    info: { id },
    sent,
    notify: (_: unknown, args: unknown) => void sent.push(args),
    request: (_: unknown, args: unknown) => void sent.push(args),
  };
  return peer as unknown as Peer & { readonly sent: unknown[] };
};
const message = { topic: 'p/p', body: NO_BODY };

describe('MovingSessions', () => {
  let moving: MovingSessions;
  let served: Map<unknown, Table>;
  let done: unknown[];
  let hub: { absence: (clientId: string) => { readonly details?: unknown }; agents: Map<number, ClientAgent> };
  let holders: Map<string, { readonly peer: Peer; readonly serial: number }>;
  let base: MovableHandlers;
  const [me, sender, other] = [peerOf('me'), peerOf('w1'), peerOf('w2')];
  const callOf = (peer: Peer) => ({ peer, generation: 1 }) as unknown as IncomingCall;
  const never = new Promise<undefined>(() => undefined);

  const run = (contract: unknown, name: string, args: unknown, peer: Peer = sender): unknown =>
    served.get(contract)?.[name]?.(args, callOf(peer));

  beforeEach(() => {
    served = new Map();
    done = [];
    holders = new Map();
    const noting = (contract: object): never =>
      Object.fromEntries(
        Object.keys(contract).map(name => [name, (args: unknown) => (done.push([name, args]), 'done')]),
      ) as never;
    base = { sessions: noting(sessionContract), pushes: noting(pushContract), receipts: noting(receiptContract) };
    hub = { absence: () => ({}), agents: new Map() };
    const node = {
      me,
      holders: {
        get size() {
          return holders.size;
        },
        find: (clientId: string) => holders.get(clientId),
      },
      dispatcher: { serve: (contract: unknown, table: Table) => void served.set(contract, table) },
    };
    const withSerial = (serial: number) => hub.agents.get(serial);
    const standstill = { guard: (_: unknown, table: unknown) => table };
    moving = new MovingSessions(
      node as unknown as LinkNode,
      Object.assign(hub, { withSerial }) as unknown as Hub,
      standstill as unknown as Standstill,
    );
    moving.serve(base);
  });

  it('is not asked while no session moves', () => {
    expect([...served.values()]).toEqual([base.sessions, base.pushes, base.receipts]);
    moving.begin('c1', never);
    moving.begin('c2', never);
    expect(served.get(sessionContract)).not.toBe(base.sessions);
    moving.end('c1');
    expect(served.get(sessionContract)).not.toBe(base.sessions);
    moving.end('c2');
    moving.end('c2');
    expect([...served.values()]).toEqual([base.sessions, base.pushes, base.receipts]);
    expect(moving.size).toBe(0);
  });

  it('leaves out clients whose pushes of this sender are those of the other gate, in every kind of push', () => {
    moving.begin('c1', never);
    moving.exclude(sender, 'c1', agentOf('c1'));
    for (const contract of [sessionContract, receiptContract]) {
      done.length = 0;
      run(contract, 'send', { clientIds: ['c1', 'c2'], ...message });
      run(contract, 'broadcast', { ...message, except: ['c3'] });
      run(contract, 'sendToUid', { uids: ['u'], ...message });
      run(contract, 'sendToGroup', { groups: ['g'], ...message });
      expect(done).toEqual([
        ['send', { clientIds: ['c2'], ...message }],
        ['broadcast', { ...message, except: ['c3', 'c1'] }],
        ['sendToUid', { uids: ['u'], ...message, except: ['c1'] }],
        ['sendToGroup', { groups: ['g'], ...message, except: ['c1'] }],
      ]);
    }
    done.length = 0;
    run(sessionContract, 'broadcast', message, other);
    expect(done).toEqual([['broadcast', message]]);
    moving.admit(sender, 'c1');
    run(sessionContract, 'broadcast', message);
    expect(done.at(-1)).toEqual(['broadcast', message]);
  });

  it('leaves out a client that a push names by its serial', () => {
    hub.agents.set(1, agentOf('c1', 1)).set(2, agentOf('c2', 2));
    moving.begin('c1', never);
    moving.exclude(sender, 'c1', agentOf('c1'));
    for (const serial of [1, 2, 3]) run(pushContract, 'one', { serial, ...message });
    run(pushContract, 'one', { serial: 1, ...message }, other);
    expect(done.map(each => (each as [string, { serial: number }])[1].serial)).toEqual([2, 3, 1]);
  });

  it('holds operations on the session until it is known where it is', async () => {
    let end!: (movedTo: string | undefined) => void;
    moving.begin('c1', new Promise(resolve => (end = resolve)));
    const held = run(sessionContract, 'bind', { clientId: 'c1', userId: 'u' }) as Promise<unknown>;
    expect(run(sessionContract, 'bind', { clientId: 'c2', userId: 'u' })).toBe('done');
    expect(done).toHaveLength(1);
    end(undefined);
    expect(await held).toBe('done');
    expect(done).toHaveLength(2);
  });

  it('says where the session is when it has moved meanwhile', async () => {
    moving.begin('c1', Promise.resolve('g2'));
    await expect(run(sessionContract, 'joinGroup', { clientId: 'c1', group: 'g' })).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
      details: { movedTo: 'g2' },
    });
    moving.unhold('c1');
    expect(run(sessionContract, 'joinGroup', { clientId: 'c1', group: 'g' })).toBe('done');
  });

  it('forwards a push to the gate that has the session, unless it is this one', () => {
    expect(moving.forward('c1', 'p/p', NO_BODY)).toBe(false);
    const there = peerOf('g2');
    holders.set('c1', { peer: there, serial: 9 }).set('c2', { peer: me, serial: 1 });
    expect(moving.forward('c1', 'p/p', NO_BODY)).toBe(true);
    expect(there.sent).toEqual([{ serial: 9, ...message }]);
    expect([moving.forward('c2', 'p/p', NO_BODY), moving.forward('c3', 'p/p', NO_BODY)]).toEqual([false, false]);
    expect(moving.forwardForReceipt('c2', 'p/p', NO_BODY, 50)).toBeUndefined();
    expect(moving.forwardForReceipt('c1', 'p/p', NO_BODY, 50)).toBeInstanceOf(Promise);
    expect(there.sent.at(-1)).toEqual({ clientIds: ['c1'], ...message, waitMs: 50 });
  });

  it('lets the hub say where a session has gone', () => {
    expect(hub.absence('c1').details).toBeUndefined();
    holders.set('c1', { peer: other, serial: 1 });
    expect(hub.absence('c1').details).toEqual({ movedTo: 'w2' });
  });
});
