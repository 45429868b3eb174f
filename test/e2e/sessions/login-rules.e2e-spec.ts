import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateCounters, type LoginRule, SessionLearner, StorageHandler } from '@nestgate/gate';
import { createTestCluster, FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { NotingLearner } from '../support/lifecycle-support.js';
import { ScriptedStorage } from '../support/storage-support.js';

const ROUNDS = 200;
const AT_ONCE = 20;
const REPLACED = 4001;

describe('a second login of one user on a gate', () => {
  let cluster: TestCluster;
  let storage: ScriptedStorage;
  let learner: NotingLearner;

  beforeEach(() => {
    storage = new ScriptedStorage();
    learner = new NotingLearner();
  });
  afterEach(() => cluster.close());

  async function start(login: LoginRule): Promise<void> {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: {
        login,
        maxConnectionsPerIp: 0,
        maxConnectionRate: 0,
        providers: [
          { provide: StorageHandler, useValue: storage },
          { provide: SessionLearner, useValue: learner },
        ],
      },
    });
  }

  /** The code of the error that a login is answered with; `ok` when it is none, `closed` when the connection ends. */
  async function login(client: FakeClient, name: string): Promise<string> {
    const id = client.ask('chat/login', { name });
    await waitUntil('the end of the login', () => client.closedWith ?? client.frames.some(frame => frame.id === id));
    const answer = client.frames.find(frame => frame.id === id);
    return answer ? (answer.error?.code ?? 'ok') : 'closed';
  }

  const onlineAs = (uid: string): Promise<readonly string[]> => cluster.api.getClientIdByUid(uid);

  /** Makes what the storage does for a user wait until it is called. Returns the call. */
  function holdStorage(uid: string): () => void {
    let release: () => void = () => undefined;
    const held = new Promise<void>(resolve => (release = resolve));
    storage.before = ({ userId }) => (userId === uid ? held : undefined);
    return () => {
      storage.before = () => undefined;
      release();
    };
  }

  it('many: both stay, and both are found', async () => {
    await start('many');
    const [one, two] = [await cluster.connect(), await cluster.connect()];
    expect(await Promise.all([login(one, 'ada'), login(two, 'ada')])).toEqual(['ok', 'ok']);
    expect([...(await onlineAs('ada'))].sort()).toEqual([one.clientId, two.clientId].sort());
    expect(await cluster.api.sendToUid('ada', 'a/b', 1, { confirm: true })).toEqual({ delivered: 2 });
  });

  it('replace: the older one is closed with 4001, and its learner told', async () => {
    await start('replace');
    const [one, two] = [await cluster.connect(), await cluster.connect()];
    expect(await login(one, 'ada')).toBe('ok');
    await one.request('session/set', { key: 'mood', value: 'calm' });
    expect(await login(one, 'ada')).toBe('ok');
    expect(await login(two, 'ada')).toBe('ok');
    expect((await one.closed).code).toBe(REPLACED);
    expect(await onlineAs('ada')).toEqual([two.clientId]);
    expect(await two.request('session/get')).toMatchObject({ userId: 'ada', settings: { mood: 'calm' } });
    const departure = await waitUntil('the departure', () => learner.departureOf(one.clientId));
    expect(departure).toMatchObject({ userId: 'ada', reason: { code: REPLACED } });
    expect(cluster.gate.app.get(GateCounters).get('connections_closed', REPLACED)).toBe(1);

    const three = await cluster.connect();
    expect(await login(three, 'bob')).toBe('ok');
    expect(await login(three, 'ada')).toBe('ok');
    expect((await two.closed).code).toBe(REPLACED);
    expect(await cluster.api.getAllUidList()).toEqual(['ada']);
  });

  it('replace: who came later wins, also when an older login takes longer', async () => {
    await start('replace');
    const [one, two] = [await cluster.connect(), await cluster.connect()];
    const release = holdStorage('ada');
    const slow = login(one, 'ada');
    await waitUntil('the slow login', () => storage.calls.length === 1);
    storage.before = () => undefined;
    expect(await login(two, 'ada')).toBe('ok');
    // A login elsewhere that fails takes nothing from the one that stands.
    storage.before = () => Promise.reject(new Error('no'));
    expect(await login(two, 'bob')).toBe('STORAGE_UNAVAILABLE');
    release();
    expect(await slow).toBe('closed');
    expect((await one.closed).code).toBe(REPLACED);
    expect(await onlineAs('ada')).toEqual([two.clientId]);
    expect(await two.request('session/get')).toMatchObject({ userId: 'ada' });
  });

  it('replace: a login that fails replaces nobody', async () => {
    await start('replace');
    const [one, two] = [await cluster.connect(), await cluster.connect()];
    await login(one, 'ada');
    storage.before = () => Promise.reject(new Error('no'));
    expect(await login(two, 'ada')).toBe('STORAGE_UNAVAILABLE');
    expect(await onlineAs('ada')).toEqual([one.clientId]);
    expect(await one.request('echo/echo', 1)).toBe(1);
  });

  it('refuse: the newer one is told FORBIDDEN, stays connected, and nothing of it is stored', async () => {
    await start('refuse');
    const [one, two] = [await cluster.connect(), await cluster.connect()];
    expect(await login(one, 'ada')).toBe('ok');
    expect(await login(one, 'ada')).toBe('ok');
    await two.request('session/set', { key: 'forged', value: true });
    expect(await login(two, 'ada')).toBe('FORBIDDEN');
    expect(await two.request('session/get')).toMatchObject({ userId: '', settings: { forged: true } });
    expect(storage.kept('ada')).toEqual({});
    expect(await onlineAs('ada')).toEqual([one.clientId]);
    expect(await login(two, 'bob')).toBe('ok');
    expect(await login(two, 'ada')).toBe('FORBIDDEN');
    expect(await two.request('session/get')).toMatchObject({ userId: 'bob' });
    await one.close();
    await waitUntil('the first one to be gone', async () => (await onlineAs('ada')).length === 0);
    expect(await login(two, 'ada')).toBe('ok');
  });

  it('refuse: one that is on its way keeps others out only if it arrives', async () => {
    await start('refuse');
    const [one, two, three] = [await cluster.connect(), await cluster.connect(), await cluster.connect()];
    await two.request('session/set', { key: 'two', value: true });
    const release = holdStorage('ada');
    const first = login(one, 'ada');
    await waitUntil('the first login', () => storage.calls.length === 1);
    const others = [login(two, 'ada'), login(three, 'ada')];
    await two.request('$gate/ping');
    one.socket.terminate();
    await waitUntil('the first one to be gone', async () => !(await cluster.api.isOnline(one.clientId)));
    release();
    expect(await first).toBe('closed');
    expect((await Promise.all(others)).sort()).toEqual(['FORBIDDEN', 'ok']);
    expect((await onlineAs('ada')).length).toBe(1);
  });

  /** Two clients log in as one user at the same time; exactly one must get in and stay. */
  async function race(rule: 'replace' | 'refuse', uid: string): Promise<void> {
    const { url } = cluster.gate;
    const pair = await Promise.all([FakeClient.connect(url), FakeClient.connect(url)]);
    await Promise.all(pair.map((client, n) => client.request('session/set', { key: `from${n}`, value: uid })));
    const ends = await Promise.all(pair.map(client => login(client, uid)));
    if (rule === 'replace') await waitUntil('one to be replaced', () => pair.some(client => client.closedWith));

    const winner = pair[rule === 'refuse' ? ends.indexOf('ok') : pair.findIndex(client => !client.closedWith)];
    const loser = pair.find(client => client !== winner);
    if (!winner || !loser) throw new Error(`${uid}: ${ends.join()}`);
    expect(await onlineAs(uid)).toEqual([winner.clientId]);
    expect(await winner.request('session/get')).toMatchObject({ userId: uid });
    expect(winner.closedWith).toBeUndefined();
    if (rule === 'refuse') {
      expect([...ends].sort()).toEqual(['FORBIDDEN', 'ok']);
      expect(await loser.request('session/get')).toMatchObject({ userId: '' });
      expect(storage.kept(uid)).toEqual({ [`from${pair.indexOf(winner)}`]: uid });
    } else {
      expect(loser.closedWith?.code).toBe(REPLACED);
    }
    for (const client of pair) client.socket.terminate();
  }

  it.each(['replace', 'refuse'] as const)('%s: of two at the same time exactly one stays, 200 times', async rule => {
    await start(rule);
    storage.before = () => new Promise(resolve => setTimeout(resolve, Math.random() * 6));
    for (let round = 0; round < ROUNDS; round += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => race(rule, `user${round + n}`)));
    }
    await waitUntil('all to be gone', async () => (await cluster.api.getAllClientCount()) === 0);
    expect(await cluster.api.getAllUidList()).toEqual([]);
  });
});
