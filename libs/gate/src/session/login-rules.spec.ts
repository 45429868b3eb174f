import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import type { Contract, gateContract, Handlers, LoginClaim, Peer } from '@nestgate/link/internal';
import { type GateError } from '@nestgate/protocol';
import fc from 'fast-check';
import type { ClientAgent } from '../client/client-agent.js';
import { GateCounters } from '../gate-counters.js';
import type { LoginRule } from '../gate-options.js';
import { Hub } from '../hub/hub.js';
import { resolveGateOptions } from '../resolve-gate-options.js';
import { Login } from './login.js';
import { LoginRules } from './login-rules.js';
import { SessionState } from './session-state.js';

const MOMENT = Date.now() * 1_024;

/** What the rules look at of a peer. */
const peerOf = (id: string, role: string): Peer =>
  ({ info: { id, epoch: 'e', role }, clientPrefix: `${id}.e.` }) as unknown as Peer;

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
    const node = {
      dispatcher: { serve },
      onPeer: listen,
      onStatus: listen,
      peers: new Map(),
      holders: { find: () => undefined },
    };
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

/** How long a client that is asked whether it is alive may take, in milliseconds. */
const PROBE_MS = 2_000;
/** When gates that have not answered are told again. */
const RETELL_MS = 1_000;

const turns = async (count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await new Promise(resolve => setImmediate(resolve));
};

/** A gate with its rules, and clients that log in. */
class Gate {
  readonly hub: Hub;
  readonly rules: LoginRules;
  readonly node: LinkNode;

  constructor(bus: MemoryBus, id: string, login: LoginRule) {
    const self = { id, epoch: 'e', role: 'gate', modules: [], draining: false } as const;
    this.node = new LinkNode({ link: bus.link(), self });
    this.hub = new Hub(this.node);
    this.rules = new LoginRules(resolveGateOptions({ login }), this.hub, this.node, new GateCounters());
    this.rules.onModuleInit();
  }

  /** A client that answers a ping, or does not. */
  client(answers = true): ClientAgent & { isClosed: boolean } {
    const serial = this.hub.nextSerial();
    const origin = { sessionId: this.hub.clientId(serial), serverId: 'g', ip: '', network: 'ws', traceParent: '' };
    const connection = {
      bytesRead: 0,
      takenBytes: 0,
      writableLength: 0,
      ping: () => void (answers && connection.bytesRead++),
    };
    const agent = {
      serial,
      sessionState: new SessionState({ ...origin, connectedAt: 0 }, 1_000),
      connection,
      isClosed: false,
      isShaked: true,
      isPaused: false,
      close: () => {
        agent.isClosed = true;
        this.rules.forget(agent as never);
        this.hub.remove(agent as never);
      },
    };
    this.hub.add(agent as never);
    return agent as never;
  }

  /** Binds a client as the keeper does; the storage takes so many turns of the event loop. Resolves with how it ended. */
  async login(agent = this.client(), storageTurns = 1, uid = 'ada', clock = this.rules.now()): Promise<string> {
    const login = new Login(agent, uid, clock);
    const bind = async (): Promise<void> => {
      await turns(storageTurns);
      this.rules.decide(login);
      agent.sessionState.setUserId(uid);
      this.rules.note(login);
      this.hub.uids.add(uid, agent);
    };
    return this.rules.admit(login, performance.now() + 900, bind).then(
      () => 'in',
      (error: GateError) => error.code,
    );
  }
}

describe('LoginRules, between gates', () => {
  let gates: Gate[] = [];

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
  });
  afterEach(async () => {
    await end();
    jest.useRealTimers();
  });

  async function start(login: LoginRule, count: number, name = 'g'): Promise<[Gate, Gate, ...Gate[]]> {
    const bus = new MemoryBus();
    gates = Array.from({ length: count }, (_, n) => new Gate(bus, `${name}${n}`, login));
    await Promise.all(gates.map(({ node }) => node.open()));
    return gates as [Gate, Gate, ...Gate[]];
  }

  async function end(): Promise<void> {
    for (const { rules, node } of gates) {
      rules.onModuleDestroy();
      await node.close({ drain: false });
    }
    gates = [];
  }

  const bound = (): ClientAgent[] => gates.flatMap(({ hub }) => [...hub.uids.members('ada')]);
  const outcomes = async (logins: readonly Promise<string>[]): Promise<string[]> => {
    const ends = Promise.all(logins);
    for (let ms = 0; ms < 6_000; ms += 500) {
      await turns(20);
      await jest.advanceTimersByTimeAsync(500);
    }
    return ends;
  };

  it.each<LoginRule>(['replace', 'refuse'])('leave one client of those that log in at once: %s', async rule => {
    const logins = fc.array(fc.record({ gate: fc.nat(2), after: fc.nat(6), storage: fc.nat(6) }), {
      minLength: 2,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(logins, async plan => {
        await start(rule, 3);
        const began = plan.map(async ({ gate, after, storage }) => {
          await turns(after);
          return (gates[gate] as Gate).login(undefined, storage);
        });
        const ends = await outcomes(began);
        const here = bound();
        await end();
        expect(here).toHaveLength(1);
        // Who is in was let in, and of those who were not nobody is.
        if (rule === 'refuse') expect(ends.filter(each => each === 'in')).toHaveLength(1);
        else expect(ends).toContain('in');
      }),
      { numRuns: 25 },
    );
  });

  it('keep the login that came last, or the first one, wherever it came', async () => {
    const [one, two] = await start('replace', 2);
    const [first, last] = [one.client(), two.client()];
    expect(await outcomes([one.login(first)])).toEqual(['in']);
    expect(await outcomes([two.login(last)])).toEqual(['in']);
    expect([bound(), first.isClosed]).toEqual([[last], true]);
    await end();

    const [three, four] = await start('refuse', 2);
    const [holder, other] = [three.client(), four.client()];
    expect(await outcomes([three.login(holder)])).toEqual(['in']);
    expect(await outcomes([four.login(other)])).toEqual(['FORBIDDEN']);
    expect([bound(), other.isClosed]).toEqual([[holder], false]);
  });

  it('let many clients have a uid where that is the rule, and ask nobody', async () => {
    const [one, two] = await start('many', 2);
    const asked = jest.spyOn(two.node.dispatcher, 'dispatch');
    expect(await outcomes([one.login(), two.login(), one.login()])).toEqual(['in', 'in', 'in']);
    expect([bound().length, asked.mock.calls.length]).toEqual([3, 0]);
  });

  it.each([0, 1])('let a login in for a client that does not answer, on the same gate or another: %i', async other => {
    const gate = (await start('refuse', 2))[other] as Gate;
    const [first] = gates as [Gate];
    const silent = first.client(false);
    expect(await outcomes([first.login(silent)])).toEqual(['in']);
    const next = gate.client();
    const began = performance.now();
    let took = 0;
    const login = gate.login(next).finally(() => (took = performance.now() - began));
    expect(await outcomes([login])).toEqual(['in']);
    expect([bound(), silent.isClosed]).toEqual([[next], true]);
    expect(took).toBeGreaterThanOrEqual(PROBE_MS);
  });

  it('let one of several in that wait for the same client', async () => {
    const [one, two] = await start('refuse', 2);
    expect(await outcomes([one.login(one.client(false))])).toEqual(['in']);
    const ends = await outcomes([one.login(), two.login(), two.login()]);
    expect(ends.toSorted()).toEqual(['FORBIDDEN', 'FORBIDDEN', 'in']);
    expect(bound()).toHaveLength(1);
  });

  it('refuse a login that came later, though it was the first to ask', async () => {
    const [one, two] = await start('refuse', 2);
    // It has come, and waits for an earlier change of its session.
    const clock = one.rules.now();
    const holder = one.client();
    const later = two.login(undefined, 30);
    await turns(10);
    const ends = await outcomes([one.login(holder, 1, 'ada', clock), later]);
    expect([ends, bound()]).toEqual([['in', 'FORBIDDEN'], [holder]]);
  });

  it('let the next one in when a login fails', async () => {
    const [one] = await start('refuse', 2);
    const login = new Login(one.client(), 'ada', one.rules.now());
    const failing = one.rules
      .admit(login, performance.now() + 900, () => Promise.reject(new Error('no storage')))
      .then(
        () => 'in',
        (error: Error) => error.message,
      );
    const next = one.login();
    expect(await outcomes([failing, next])).toEqual(['no storage', 'in']);
  });

  it.each<[LoginRule, number]>([
    ['replace', 1],
    ['refuse', 0],
  ])('come to the same end on both sides when two gates meet: %s keeps number %i', async (rule, kept) => {
    // Two gates that cannot reach each other: each lets a client of the uid in.
    const [one] = await start(rule, 1);
    const apart = gates;
    const first = one.client();
    expect(await outcomes([one.login(first)])).toEqual(['in']);
    const [two] = await start(rule, 1, 'h');
    gates = [...apart, two];
    const last = two.client();
    expect(await outcomes([two.login(last)])).toEqual(['in']);

    // What each tells the other, as the other gets it.
    const claims: [from: Gate, to: Gate, claims: LoginClaim[]][] = [];
    for (const [from, to] of [[one, two] as const, [two, one] as const]) {
      const notify = (_operation: unknown, args: LoginClaim[]): void => void claims.push([from, to, args]);
      from.rules.tell({ info: to.node.info, notify } as unknown as Peer);
    }
    for (const [from, to, told] of claims) {
      const serve = jest.spyOn(to.node.dispatcher, 'serve');
      to.rules.onModuleInit();
      const [, handlers] = serve.mock.calls.at(-1) as [unknown, { claims(told: unknown, call: unknown): void }];
      handlers.claims(told, { peer: from.node.me });
    }
    expect(bound()).toEqual([[first, last][kept]]);
  });

  it('tell a gate that has not answered again, once for all that it has missed', async () => {
    const [one, two] = await start('replace', 2);
    const old = two.client();
    expect(await outcomes([two.login(old)])).toEqual(['in']);
    // The other gate hangs: it hears nothing until it goes on.
    const missed: unknown[] = [];
    const hang = jest.spyOn(two.node.dispatcher, 'dispatch').mockImplementation(call => void missed.push(call));
    const logins = [one.login(), one.login(one.client(), 1, 'bob')];
    await turns(20);
    await jest.advanceTimersByTimeAsync(600);
    await turns(20);
    expect(await Promise.all(logins)).toEqual(['in', 'in']);
    hang.mockRestore();
    const told = jest.spyOn(one.node.peers.get('g1') as Peer, 'notify');
    expect(old.isClosed).toBe(false);
    await jest.advanceTimersByTimeAsync(RETELL_MS);
    await turns(20);
    expect([old.isClosed, told.mock.calls.length, missed.length]).toEqual([true, 1, 2]);
  });
});
