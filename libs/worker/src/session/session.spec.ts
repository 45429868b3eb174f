import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LinkNode, MemoryBus, type SessionSnapshot, type Settings } from '@nestgate/link';
import { createCaller, sessionContract } from '@nestgate/link/internal';
import { BodyKind, type GateError } from '@nestgate/protocol';
import { Session } from './session.js';

const CLIENT = 'g1.e1.1';

function snapshotOf(version: number, settings: Settings = {}, userId = ''): SessionSnapshot {
  return {
    sessionId: CLIENT,
    serverId: 'g1',
    ip: '::1',
    network: 'ws',
    connectedAt: 5,
    traceParent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    userId,
    settings,
    version,
  };
}

/** The codes with which these reject. */
async function codesOf(attempts: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(attempts);
  return outcomes.map(outcome => (outcome.status === 'rejected' ? (outcome.reason as GateError).code : outcome.value));
}

describe('Session', () => {
  let gate: LinkNode;
  let worker: LinkNode;

  beforeEach(async () => {
    const bus = new MemoryBus();
    const start = async (id: string, role: 'gate' | 'worker') => {
      const self = { id, role, epoch: 'e1', modules: [], draining: false } as const;
      const node = new LinkNode({ link: bus.link(), self });
      await node.open();
      return node;
    };
    gate = await start('g1', 'gate');
    worker = await start('w1', 'worker');
  });
  afterEach(async () => {
    jest.useRealTimers();
    await worker.close();
    await gate.close();
  });

  function create(settings: Settings = {}, userId = '', version = 1): Session {
    return new Session(snapshotOf(version, settings, userId), createCaller(worker, sessionContract));
  }

  it('tells what the gate knew', () => {
    const session = create({ a: 1 }, 'u', 7);
    expect(session).toMatchObject({
      sessionId: CLIENT,
      clientId: CLIENT,
      serverId: 'g1',
      ip: '::1',
      network: 'ws',
      connectedAt: 5,
      userId: 'u',
      isGuest: false,
      version: 7,
    });
    expect(create().isGuest).toBe(true);
  });

  it('takes over nothing that a gate says of another client', async () => {
    const session = create({ a: 1 }, 'u', 7);
    const load = () => ({ ...snapshotOf(8, { a: 2 }, 'v'), sessionId: 'g1.e1.2' });
    gate.dispatcher.serve({ load: sessionContract.load }, { load });
    await expect(session.toUpdate()).rejects.toMatchObject({ code: 'LINK_CORRUPT' });
    expect([session.sessionId, session.userId, session.get('a'), session.version]).toEqual([CLIENT, 'u', 1, 7]);
  });

  it.each<[string, bigint]>([
    ['0', 0n],
    ['42', 42n],
    ['007', 7n],
    ['9007199254740993', 9_007_199_254_740_993n],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['00000000000000000001', 1n],
    ['18446744073709551616', 0n],
    ['99999999999999999999', 0n],
    ['000000000000000000001', 0n],
    ['', 0n],
    ['-1', 0n],
    ['+1', 0n],
    ['1.0', 0n],
    ['1e3', 0n],
    ['0x10', 0n],
    [' 1', 0n],
    ['1\n', 0n],
    ['١', 0n],
    ['ada', 0n],
  ])('reads the uid %j as the number %d', (userId, number) => {
    expect(create({}, userId).userIdUint).toBe(number);
  });

  describe('as a local copy', () => {
    it('knows only keys of its own', () => {
      const session = create(JSON.parse('{"a":null,"__proto__":{"x":1}}') as Settings);
      expect([session.get('a'), session.get('b'), session.get('toString'), session.get('x')]).toEqual([
        null,
        undefined,
        undefined,
        undefined,
      ]);
      expect(session.get('__proto__')).toEqual({ x: 1 });
      session.set('constructor', 1);
      expect(session.get('constructor')).toBe(1);
      expect(session.get('toString')).toBeUndefined();
      expect(JSON.stringify(session.cloneSettings())).toBe('{"a":null,"__proto__":{"x":1},"constructor":1}');
    });

    it('sets, removes and replaces here only', () => {
      const settings: Settings = { a: 1, b: 2 };
      const session = create(settings);
      session.set('c', [3]);
      session.del('a');
      session.del('none');
      expect([...session.settings()]).toEqual([
        ['b', 2],
        ['c', [3]],
      ]);
      session.setSettings({ d: 4 });
      expect(session.cloneSettings()).toEqual({ d: 4 });
      expect(settings).toEqual({ a: 1, b: 2 });
      expect(session.version).toBe(1);
    });

    it('imports only what is not there', () => {
      const session = create({ a: 1, b: null });
      session.del('a');
      session.set('c', 3);
      session.importSettings({ a: 10, b: 20, c: 30, d: 40 });
      expect(session.cloneSettings()).toEqual({ a: 10, b: null, c: 3, d: 40 });
    });

    it('clones its draft, but not its userData', () => {
      const session = create({ a: 1 });
      session.userData = 'mine';
      const before = session.clone();
      session.set('b', 2);
      const clone = session.clone();
      clone.set('c', 3);
      session.del('a');
      expect(before.cloneSettings()).toEqual({ a: 1 });
      expect(clone.cloneSettings()).toEqual({ a: 1, b: 2, c: 3 });
      expect(session.cloneSettings()).toEqual({ b: 2 });
      expect(clone.userData).toBeUndefined();
      clone.userData = 'its own';
      expect(session.userData).toBe('mine');
    });

    it('hands out its settings as a copy', () => {
      const session = create({ a: 1 });
      session.cloneSettings()['a'] = 2;
      expect(session.get('a')).toBe(1);
    });

    it('keeps userData in its home', () => {
      const home = { userData: undefined as unknown };
      const caller = createCaller(worker, sessionContract);
      new Session(snapshotOf(1), caller, home).userData = 'kept';
      expect(new Session(snapshotOf(2), caller, home).userData).toBe('kept');
    });
  });

  describe('on the gate', () => {
    it('takes over what the gate answers, and drops what was not pushed', async () => {
      const { load } = sessionContract;
      gate.dispatcher.serve({ load }, { load: () => snapshotOf(4, { a: 2 }, 'u') });
      const session = create({ a: 1 });
      session.set('b', 1);
      await session.toUpdate();
      expect(session.cloneSettings()).toEqual({ a: 2 });
      expect([session.version, session.userId]).toEqual([4, 'u']);
    });

    it('never goes back to an older version, in whatever order answers come', async () => {
      const { load } = sessionContract;
      const answers: ((version: number) => void)[] = [];
      gate.dispatcher.serve(
        { load },
        { load: () => new Promise(resolve => answers.push(version => resolve(snapshotOf(version, { v: version })))) },
      );
      const session = create({}, '', 2);
      const asked = [session.toUpdate(), session.toUpdate(), session.toUpdate()];
      while (answers.length < 3) await new Promise(resolve => setImmediate(resolve));
      answers[2]?.(5);
      await asked[2];
      answers[0]?.(4);
      answers[1]?.(1);
      await Promise.all(asked);
      expect([session.version, session.get('v')]).toEqual([5, 5]);
    });

    it('sends each change to its client', async () => {
      const asked: unknown[] = [];
      const note = (args: unknown): SessionSnapshot => {
        asked.push(args);
        return snapshotOf(2);
      };
      const { bind, unbind, push, set, del } = sessionContract;
      gate.dispatcher.serve(
        { bind, unbind, push, set, del },
        { bind: note, unbind: note, push: note, set: note, del: note },
      );
      const session = create({ a: 1, b: 2 });
      session.set('c', 3);
      session.del('a');
      await session.toPush();
      await session.toBind('u');
      await session.toUnbind();
      await session.toSet('k', null);
      await session.toSetBatch({ x: [1], y: { z: '' } });
      await session.toDel('k');
      expect(asked).toEqual([
        { clientId: CLIENT, settings: { c: 3 } },
        { clientId: CLIENT, userId: 'u' },
        { clientId: CLIENT, userId: undefined },
        { clientId: CLIENT, key: 'k', value: null },
        { clientId: CLIENT, settings: { x: [1], y: { z: '' } } },
        { clientId: CLIENT, key: 'k' },
      ]);
    });

    it('refuses what cannot be kept, before it asks', async () => {
      const session = create();
      const no = undefined as unknown as null;
      const attempts = [
        session.toBind(''),
        session.toSet('', 1),
        session.toSet('k', no),
        session.toSetBatch({ k: (() => 1) as never }),
        session.toSetBatch(new Map([['k', 1]]) as never),
        session.toSend('no topic'),
        session.toSend('a', 1n),
      ];
      expect(await codesOf(attempts)).toEqual(attempts.map(() => 'BAD_ARGUMENT'));
      expect(worker.waitingCount).toBe(0);
    });

    it('sends messages, and notices that nobody got them', async () => {
      const sent: unknown[] = [];
      const here = { clients: 1 };
      const { send, load } = sessionContract;
      gate.dispatcher.serve(
        { send, load },
        {
          send: ({ clientIds, topic, body }) => {
            sent.push([clientIds, topic, body.kind, Buffer.from(body.bytes).toString()]);
            return here.clients;
          },
          load: () => snapshotOf(9),
        },
      );
      const session = create();
      await session.toSend('a/b', { x: 1 });
      expect(sent).toEqual([[[CLIENT], 'a/b', BodyKind.json, '{"x":1}']]);
      expect(session.version).toBe(1);
      here.clients = 0;
      await session.toSend('a/b');
      expect(session.version).toBe(9);
    });

    it('asks whether the client is there, and takes its absence for an answer', async () => {
      const { connected } = sessionContract;
      gate.dispatcher.serve({ connected }, { connected: ({ clientId }) => clientId === CLIENT });
      const session = create();
      expect(await session.toConnected()).toBe(true);
      await gate.close();
      expect(await session.toConnected()).toBe(false);
    });

    it('rejects with SESSION_NOT_FOUND when its gate is gone', async () => {
      await gate.close();
      const session = create();
      const attempts = [
        session.toUpdate(),
        session.toBind('u'),
        session.toPush(),
        session.toSend('a'),
        session.toClose(),
      ];
      expect(await codesOf(attempts)).toEqual(attempts.map(() => 'SESSION_NOT_FOUND'));
    });

    describe('that does not answer', () => {
      const attempts: [string, (session: Session) => Promise<unknown>][] = [
        ['toUpdate', session => session.toUpdate()],
        ['toSend', session => session.toSend('a')],
      ];

      beforeEach(() => {
        const { load, send } = sessionContract;
        const never = () => new Promise<never>(() => undefined);
        gate.dispatcher.serve({ load, send }, { load: never, send: never });
      });

      it.each(attempts)('rejects %s with SESSION_NOT_FOUND when it goes', async (_name, attempt) => {
        const asked = attempt(create());
        const rejected = expect(asked).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' });
        await gate.close();
        await rejected;
      });

      it.each(attempts)('rejects %s with TIMEOUT after a while', async (_name, attempt) => {
        jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick'] });
        const codes = codesOf([attempt(create())]);
        for (let i = 0; i < 3; i++) {
          jest.advanceTimersByTime(5_200);
          await new Promise(resolve => setImmediate(resolve));
        }
        expect(await codes).toEqual(['TIMEOUT']);
      });
    });
  });
});
