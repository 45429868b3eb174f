import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Contract, type gateContract, type Handlers, type LoginClaim, type Peer } from '@nestgate/link';
import { GateCounters } from '../gate-counters.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { LoginRules } from './login-rules.js';

const MOMENT = Date.now() * 1_024;

/** What the rules look at of a peer. */
const peerOf = (id: string, role: string): Peer =>
  ({ info: { id, epoch: 'e', role }, isSelf: false, clientPrefix: `${id}.e.` }) as unknown as Peer;

describe('LoginRules, told by other nodes', () => {
  const gate = peerOf('other', 'gate');
  const closed: string[] = [];
  let counters: GateCounters;
  let rules: LoginRules;
  let handlers: Record<string, (args: unknown, call: { peer: Peer }) => unknown>;

  beforeEach(() => {
    closed.length = 0;
    counters = new GateCounters();
    // The parts of an agent, a hub and a node that the rules use. One client of `ada` has been here since a moment ago.
    const agent = {
      sessionState: { origin: { sessionId: 'me.e.1' }, userId: 'ada' },
      close: () => closed.push('me.e.1'),
    };
    const hub = { uids: { members: (uid: string) => new Set(uid === 'ada' ? [agent] : []) } };
    const serve = (_contract: Contract, served: Handlers<Contract>) => (handlers = served as never);
    const listen = () => () => undefined;
    const node = { dispatcher: { serve }, onPeer: listen, onStatus: listen, peers: new Map() };
    rules = new LoginRules(resolveGateOptions({ login: 'replace' }), hub as never, node as never, counters);
    rules.onModuleInit();
  });
  afterEach(() => rules.onModuleDestroy());

  const claim = (change: Partial<Record<keyof LoginClaim, unknown>> = {}): unknown => ({
    userId: 'ada',
    clientId: 'other.e.7',
    clock: MOMENT,
    ...change,
  });
  const ask = (name: keyof typeof gateContract, args: unknown, peer: Peer): unknown => handlers[name]?.(args, { peer });

  it('believes a gate about a client of its own', () => {
    expect(ask('reserve', claim(), gate)).toBe(true);
    expect(ask('replace', claim(), gate)).toBe(false);
    expect(closed).toEqual(['me.e.1']);
    ask('claims', [claim()], gate);
    expect(closed).toHaveLength(2);
    expect(counters.snapshot()).toEqual({});
  });

  const LIES: readonly [reason: string, args: unknown, peer: Peer][] = [
    ['role', claim({ clientId: 'worker.e.7' }), peerOf('worker', 'worker')],
    ['role', claim({ clientId: 'service.e.7' }), peerOf('service', 'api')],
    ['client', claim({ clientId: 'me.e.7' }), gate],
    ['client', claim({ clientId: 'other.before.7' }), gate],
    ['client', claim({ clientId: 7 }), gate],
    ['client', undefined, gate],
    ['uid', claim({ userId: '' }), gate],
    ['uid', claim({ userId: 'x'.repeat(129) }), gate],
    ['uid', claim({ userId: {} }), gate],
    ['clock', claim({ clock: Number.NaN }), gate],
    ['clock', claim({ clock: Number.POSITIVE_INFINITY }), gate],
    ['clock', claim({ clock: Number.MAX_SAFE_INTEGER }), gate],
    ['clock', claim({ clock: MOMENT + 24 * 3_600_000 * 1_024 }), gate],
    ['clock', claim({ clock: -1 }), gate],
    ['clock', claim({ clock: null }), gate],
  ];

  it.each(LIES)('does not believe one whose %s is wrong (%#)', (reason, args, peer) => {
    const before = rules.now();
    const code = reason === 'role' ? 'FORBIDDEN' : 'BAD_ARGUMENT';
    for (const name of ['replace', 'reserve'] as const) {
      expect(() => ask(name, args, peer)).toThrow(expect.objectContaining({ code }));
    }
    ask('claims', [args, null], peer);
    expect(closed).toEqual([]);
    expect(counters.get('claims_refused', reason)).toBeGreaterThanOrEqual(3);
    expect(rules.now() - before).toBeLessThan(60_000 * 1_024);
  });

  it('believes of several claims those that can be', () => {
    ask('claims', [null, claim({ clock: Number.NaN }), claim()], gate);
    expect(closed).toEqual(['me.e.1']);
    expect(counters.snapshot()).toEqual({ claims_refused: { client: 1, clock: 1 } });
    for (const args of [undefined, {}, 'claims', 7]) {
      expect(() => ask('claims', args, gate)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }));
    }
  });
});
