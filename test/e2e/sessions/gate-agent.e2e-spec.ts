import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { AgentLearner, type ClientAgent, type DisconnectReason, SessionLearner } from '@nestgate/gate';
import { waitUntil } from '@nestgate/testing';
import { type Session } from '@nestgate/worker';
import { Stage, turns } from '../support/gate-support.js';

/** What the two learners were told, in order. */
class Diary {
  readonly entries: string[] = [];
  readonly agents: ClientAgent[] = [];
  /** What each of their methods does, told by a test. */
  act: (method: string, session?: Session, reason?: DisconnectReason) => void | Promise<void> = () => undefined;

  note(method: string, session?: Session, reason?: DisconnectReason): void | Promise<void> {
    this.entries.push(method);
    return this.act(method, session, reason);
  }
}

class NotingAgents extends AgentLearner {
  constructor(private readonly diary: Diary) {
    super();
  }
  override connect(agent: ClientAgent): void | Promise<void> {
    this.diary.agents.push(agent);
    return this.diary.note('connect');
  }
  override disconnect(): void | Promise<void> {
    return this.diary.note('disconnect');
  }
}

class NotingSessions extends SessionLearner {
  constructor(private readonly diary: Diary) {
    super();
  }
  override onConnect(session: Session): void | Promise<void> {
    return this.diary.note('onConnect', session);
  }
  override onDisconnect(session: Session, reason: DisconnectReason): void | Promise<void> {
    return this.diary.note('onDisconnect', session, reason);
  }
}

describe.each([0, 1])('with %d workers', workers => {
  let stage: Stage;
  let diary: Diary;

  beforeEach(async () => {
    diary = new Diary();
    stage = await Stage.open(workers, {
      providers: [
        { provide: AgentLearner, useValue: new NotingAgents(diary) },
        { provide: SessionLearner, useValue: new NotingSessions(diary) },
      ],
    });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await stage.close();
  });

  const agent = (): ClientAgent => diary.agents.at(-1) as ClientAgent;

  describe('ClientAgent', () => {
    it('connTime, isClosed, isShaked, session and error describe the connection', async () => {
      const before = Date.now();
      let shaked: boolean | undefined;
      diary.act = method => {
        if (method === 'onConnect') shaked = agent().isShaked;
      };
      const client = await stage.cluster.connect();
      await client.request('script/note', 1);
      expect(shaked).toBe(false);
      expect(agent()).toMatchObject({ isShaked: true, isClosed: false, error: undefined });
      expect(agent().connTime).toBeGreaterThanOrEqual(before);
      expect(agent().connTime).toBeLessThanOrEqual(Date.now());
      await stage.delegater.bind(client.clientId, 'ada');
      expect(agent().session.toJSON()).toMatchObject({ sessionId: client.clientId, userId: 'ada' });
      client.socket.close(4242, 'enough');
      await waitUntil('the agent to be closed', () => agent().isClosed);
      expect(agent().error).toEqual({ code: 4242, reason: 'enough' });
    });

    it('recvNum and sendNum count messages', async () => {
      const client = await stage.cluster.connect();
      expect([agent().recvNum, agent().sendNum]).toEqual([0, 1]); // the hello
      for (let i = 0; i < 3; i++) await client.request('script/note', i);
      client.send('$gate/ping');
      await client.push('$gate/pong');
      expect([agent().recvNum, agent().sendNum]).toEqual([4, 5]);
    });

    it('sendPack reaches the client, until it is closed', async () => {
      const client = await stage.cluster.connect();
      expect(agent().sendPack('a/b', { n: 1 })).toBe(true);
      expect((await client.push('a/b')).body).toEqual({ n: 1 });
      await stage.lose(client);
      expect(agent().sendPack('a/b', 2)).toBe(false);
    });

    it('close says what and why, and onClose is called when the connection has ended', async () => {
      const client = await stage.cluster.connect();
      const onClose = jest.spyOn(agent(), 'onClose');
      agent().sendPack('a/last', 'bye');
      agent().close(4100, 'maintenance');
      expect([agent().isClosed, agent().error]).toEqual([true, { code: 4100, reason: 'maintenance' }]);
      expect(await client.closed).toEqual({ code: 4100, reason: 'maintenance' });
      expect(client.pushes('a/last').length).toBe(1);
      await waitUntil('onClose', () => onClose.mock.calls.length > 0);
      agent().close(4101, 'again');
      await turns(5);
      expect(onClose.mock.calls).toEqual([[4100, 'maintenance']]);
      expect(diary.entries.filter(entry => entry === 'disconnect').length).toBe(1);
    });
  });

  describe('AgentLearner', () => {
    it('connect and disconnect are told with the agent, once each and around the session', async () => {
      const client = await stage.cluster.connect();
      await client.request('script/note');
      await stage.lose(client);
      expect(diary.entries).toEqual(['connect', 'onConnect', 'disconnect', 'onDisconnect']);
    });
  });

  describe('SessionLearner', () => {
    it('onConnect is awaited before the first frame is handled', async () => {
      let go: () => void = () => undefined;
      diary.act = method => (method === 'onConnect' ? new Promise(resolve => (go = resolve)) : undefined);
      const client = await stage.cluster.connect({ awaitHello: false });
      const ids = [client.ask('script/note', 1), client.ask('script/note', 2)];
      await turns(20);
      expect(stage.script.seen).toEqual([]);
      expect(client.frames).toEqual([]);
      go();
      for (const id of ids) expect((await client.answer(id)).error).toBeUndefined();
      expect(stage.script.seen).toEqual([1, 2]);
    });

    it('onConnect may bind, set and send', async () => {
      diary.act = async (method, session) => {
        if (method !== 'onConnect') return;
        await session?.toBind('ada');
        await session?.toSet('greeted', true);
        await session?.toSend('a/welcome', session.userId);
      };
      const client = await stage.cluster.connect();
      expect((await client.push('a/welcome')).body).toBe('ada');
      expect(await stage.sessionInHandler(client)).toMatchObject({ userId: 'ada' });
      expect((await stage.sessionInHandler(client)).get('greeted')).toBe(true);
    });

    it('onDisconnect sees uid, groups, settings and userData as they were, and the reason', async () => {
      let last: unknown;
      diary.act = (method, session, reason) => {
        if (method === 'onConnect' && session) session.userData = 'mine';
        if (method === 'onDisconnect' && session) last = { ...session.toJSON(), userData: session.userData, reason };
      };
      const client = await stage.cluster.connect();
      const { clientId } = client;
      await stage.delegater.bind(clientId, 'ada');
      await stage.delegater.set(clientId, 'a', 1);
      await stage.cluster.api.joinGroup(clientId, 'room');
      client.socket.close(1000, 'bye');
      await waitUntil('the departure', () => last);
      const reason = { code: 1000, reason: 'bye', groups: ['room'] };
      expect(last).toMatchObject({ sessionId: clientId, userId: 'ada', settings: { a: 1 }, userData: 'mine', reason });
      expect(await stage.cluster.api.getClientCountByGroup('room')).toBe(0);
    });
  });

  it.each([
    ['AgentLearner.connect', 'connect'],
    ['AgentLearner.disconnect', 'disconnect'],
    ['SessionLearner.onDisconnect', 'onDisconnect'],
  ])('an error of %s is logged, and hurts nobody', async (_name, failing) => {
    const logged = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const failures = [() => Promise.reject(new Error('async')), () => fail(new Error('sync'))];
    for (const [index, failure] of failures.entries()) {
      diary.act = method => (method === failing ? failure() : undefined);
      const client = await stage.cluster.connect();
      expect(await client.request('script/note', index)).toBe(index);
      await stage.lose(client);
      await waitUntil('the log line', () => logged.mock.calls.length === index + 1);
    }
    expect(logged.mock.calls.map(([line]) => line as unknown)).toEqual(['Error: async', 'Error: sync']);
    expect(diary.entries.length).toBe(8);
  });

  it('an error of SessionLearner.onConnect closes that client with 1011, and no other', async () => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const good = await stage.cluster.connect();
    diary.act = method => (method === 'onConnect' ? fail(new Error('not you')) : undefined);
    const bad = await stage.cluster.connect();
    expect((await bad.closed).code).toBe(1011);
    expect(await good.request('script/note', 1)).toBe(1);
  });
});

function fail(error: Error): never {
  throw error;
}
