import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, GatewayApi, OnTopic, Session } from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

const GATES = 2;

/** Handlers that need answers of the gates while they run. */
@Controller()
class AskingTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('ask/everything')
  async everything(@Payload() other: string, @ClientSession() { clientId }: Session) {
    const { gateway } = this;
    const [count, ids, session] = await Promise.all([
      gateway.getAllClientCount(),
      gateway.getAllClientIdList(),
      gateway.getSession(other),
    ]);
    await gateway.updateSession(clientId, { seen: ids.length });
    const told = await gateway.sendToClient(other, 'ask/told', clientId, { confirm: true });
    return { count, ids: ids.length, session, told, online: await gateway.isOnline(other) };
  }
}

describe.each(LINKS)('questions of handlers over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;
  let clients: FakeClient[];

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  /** Two gates that take one frame of a client at a time, with the handlers in the gates or on workers. */
  async function start(workers: number): Promise<void> {
    const link = await links.forCluster(GATES, { meshed: true });
    const gate = { concurrentTasks: 1, messageRate: 0, sendPackBuffNum: 10_000 };
    cluster = await createTestCluster({ gates: GATES, workers, gate, handlers: { controllers: [AskingTopics] }, link });
    await met();
    clients = [];
    for (let index = 0; index < 6; index++) clients.push(await cluster.connect({ gate: index % GATES }));
  }

  /** Gates that host handlers have to know each other; on NATS they do when they have answered the last one. */
  async function met(): Promise<void> {
    const nodes = [...cluster.gates, ...cluster.workers].map(({ app }) => app.get(LinkNode));
    const gatesOf = ({ peers }: LinkNode) => [...peers.values()].filter(peer => peer.info.role === 'gate');
    // Of an address that is still being dialled nobody knows that it is one of those.
    const knowsAll = (node: LinkNode) => gatesOf(node).length === GATES && node.unreachedGates.length === 0;
    await waitUntil('all nodes to know the gates', () => nodes.every(knowsAll));
  }

  /** Every client asks about the one beside it, which is on the other gate and asks itself. */
  const askAll = (rounds: number) =>
    clients.flatMap((client, index) => {
      const { clientId } = clients[(index + 1) % clients.length] as FakeClient;
      return Array.from({ length: rounds }, () => client.request('ask/everything', clientId));
    });
  const answer = expect.objectContaining({ count: 6, ids: 6, told: true, online: true });

  it.each([
    ['in the gates, which ask each other', 0],
    ['on workers', 2],
  ])('are answered although each client has one frame under way: handlers %s', async (_where, workers) => {
    await start(workers);
    const answers = await Promise.all(askAll(15));
    expect(answers).toEqual(answers.map(() => answer));
    await waitUntil('what the handlers have sent', () =>
      clients.every(client => client.pushes('ask/told').length === 15),
    );
  });

  it('are answered in a storm of questions and pushes', async () => {
    await start(2);
    const api = cluster.workers[0]?.api as GatewayApi;
    const body = 'x'.repeat(2_000);
    const storm: Promise<unknown>[] = [];
    for (let n = 0; n < 400; n++) {
      storm.push(api.getAllClientSessions(), api.getAllGroupClientIdList(), api.isUidOnline(`user ${n}`));
      void api.sendToAll('ask/noise', body);
    }
    const answers = await Promise.all(askAll(5));
    expect(answers).toEqual(answers.map(() => answer));
    await Promise.all(storm);
  });
});
