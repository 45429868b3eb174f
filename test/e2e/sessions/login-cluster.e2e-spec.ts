import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { LoginRule } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

const ROUNDS = 200;
const REPLACED = 4001;

describe.each(LINKS)('a login rule on gates that know each other over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;
  let api: GatewayApi;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function start(login: LoginRule, gates = 3): Promise<void> {
    cluster = await createTestCluster({
      gates,
      workers: 1,
      gate: { login, maxConnectionsPerIp: 0, maxConnectionRate: 0 },
      link: await links.forCluster(gates, { meshed: true }),
    });
    await waitUntil('the gates to meet', () =>
      cluster.gates.every(({ app }) => {
        const peers = [...app.get(LinkNode).peers.values()];
        return peers.filter(peer => peer.info.role === 'gate').length === gates;
      }),
    );
    api = (cluster.workers[0] as { api: GatewayApi }).api;
  }

  /** A client on each gate. */
  const clients = (count: number): Promise<FakeClient[]> =>
    Promise.all(Array.from({ length: count }, (_, gate) => cluster.connect({ gate })));

  const attempt = async (client: FakeClient, uid: string): Promise<string> => {
    try {
      await api.bindUid(client.clientId, uid);
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it('replace: the client that came before is closed with 4001, whichever gate it is on', async () => {
    await start('replace');
    const [one, two, three] = (await clients(3)) as [FakeClient, FakeClient, FakeClient];
    await api.bindUid(one.clientId, 'ada');
    await api.bindUid(two.clientId, 'ada');
    // It is gone when the bind has been confirmed.
    expect(await api.getClientIdByUid('ada')).toEqual([two.clientId]);
    expect((await one.closed).code).toBe(REPLACED);
    await api.bindUid(three.clientId, 'ada');
    expect((await two.closed).code).toBe(REPLACED);
    expect(await api.getClientIdByUid('ada')).toEqual([three.clientId]);
  });

  it('refuse: the client that comes second is not bound, and stays connected', async () => {
    await start('refuse');
    const [one, two] = (await clients(2)) as [FakeClient, FakeClient];
    expect(await attempt(one, 'ada')).toBe('ok');
    expect(await attempt(two, 'ada')).toBe('FORBIDDEN');
    expect(await api.getClientIdByUid('ada')).toEqual([one.clientId]);
    expect(await attempt(two, 'bob')).toBe('ok');
    await one.close();
    await waitUntil('the uid to be free', async () => !(await api.isUidOnline('ada')));
    const three = await cluster.connect({ gate: 2 });
    expect(await attempt(three, 'ada')).toBe('ok');
  });

  it(`replace: of two that come at the same time exactly one stays, ${ROUNDS} times`, async () => {
    await start('replace', 2);
    let closed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const pair = await clients(2);
      const outcomes = await Promise.all(pair.map(client => attempt(client, `user ${round}`)));
      expect(outcomes).toContain('ok');
      await waitUntil('one to be gone', async () => (await api.getClientIdByUid(`user ${round}`)).length === 1);
      const [stays] = await api.getClientIdByUid(`user ${round}`);
      const gone = pair.filter(client => client.clientId !== stays);
      expect(gone).toHaveLength(1);
      expect((await (gone[0] as FakeClient).closed).code).toBe(REPLACED);
      closed++;
      for (const client of pair) client.socket.terminate();
    }
    expect(closed).toBe(ROUNDS);
  });

  it(`refuse: of two that come at the same time exactly one is bound, ${ROUNDS} times`, async () => {
    await start('refuse', 2);
    const pair = await clients(2);
    for (let round = 0; round < ROUNDS; round++) {
      const outcomes = await Promise.all(pair.map(client => attempt(client, `user ${round}`)));
      expect(outcomes.sort()).toEqual(['FORBIDDEN', 'ok']);
      expect(await api.getClientIdByUid(`user ${round}`)).toHaveLength(1);
    }
    expect(pair.map(client => client.closedWith)).toEqual([undefined, undefined]);
  });

  it('many: both stay', async () => {
    await start('many', 2);
    const pair = await clients(2);
    expect(await Promise.all(pair.map(client => attempt(client, 'ada')))).toEqual(['ok', 'ok']);
    expect(await api.getClientIdByUid('ada')).toHaveLength(2);
    expect(await api.getAllUidCount()).toBe(1);
  });
});
