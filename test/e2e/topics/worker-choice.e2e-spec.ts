import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Inject } from '@nestjs/common';
import { WorkerChoice, type WorkerQuestion } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster } from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';

@Controller()
class Where {
  constructor(@Inject(LinkNode) private readonly node: LinkNode) {}

  @OnTopic('where/am-i')
  answer(): string {
    return this.node.info.id;
  }

  @OnTopic('where/pin')
  async pin(@ClientSession() session: Session): Promise<void> {
    await session.toSet('where', this.node.info.id);
  }
}

/** Sends clients of one uid to one worker. */
class ByUid extends WorkerChoice {
  readonly questions: WorkerQuestion[] = [];
  rule: (question: WorkerQuestion) => string | undefined = () => undefined;

  override choose(question: WorkerQuestion): string | undefined {
    this.questions.push(question);
    return this.rule(question);
  }
}

describe('a choice of workers', () => {
  let cluster: TestCluster;
  let choice: ByUid;

  afterEach(() => cluster.close());

  async function start(): Promise<void> {
    choice = new ByUid();
    cluster = await createTestCluster({
      workers: 3,
      handlers: { controllers: [Where] },
      gate: { providers: [{ provide: WorkerChoice, useValue: choice }] },
    });
  }

  const whereIs = (client: FakeClient): Promise<string> => client.request<string>('where/am-i');

  it('decides where a frame goes, before affinity and pin', async () => {
    await start();
    choice.rule = ({ session, workers }) => {
      const sorted = workers.map(worker => worker.id).sort();
      return sorted[Number(session.userIdUint) % sorted.length];
    };
    const ids = cluster.workers.map(({ app }) => app.get(LinkNode).info.id).sort();
    const client = await cluster.connect();
    await client.request('where/pin');
    for (const uid of [0, 1, 2, 1]) {
      await cluster.api.bindUid(client.clientId, String(uid));
      expect(await whereIs(client)).toBe(ids[uid]);
    }
  });

  it('is told the topic, the workers with their clients, and the current one', async () => {
    await start();
    const clients = await Promise.all([cluster.connect(), cluster.connect()]);
    for (const client of clients) await whereIs(client);
    const first = await whereIs(clients[0] as FakeClient);
    const question = choice.questions.at(-1);
    expect(question).toMatchObject({ topic: 'where/am-i', module: 'where', current: first });
    expect(question?.session.clientId).toBe(clients[0]?.clientId);
    expect(question?.workers.map(({ clients: count }) => count).sort()).toEqual([0, 1, 1]);
  });

  it.each([
    ['nothing', () => undefined],
    ['an unknown worker', () => 'nobody'],
    [
      'an error',
      () => {
        throw new Error('broken');
      },
    ],
  ])('leaves it to the usual rule when it gives %s', async (_what, rule) => {
    await start();
    choice.rule = rule;
    const clients = await Promise.all(Array.from({ length: 6 }, () => cluster.connect()));
    const places: string[] = [];
    for (const client of clients) places.push(await whereIs(client));
    // The fewest clients first, and then the same one again.
    expect(new Set(places).size).toBe(3);
    expect(await Promise.all(clients.map(whereIs))).toEqual(places);
  });

  it('has a pinned server come before the one last used, when there is no choice of its own', async () => {
    cluster = await createTestCluster({ workers: 3, handlers: { controllers: [Where] } });
    const ids = cluster.workers.map(({ app }) => app.get(LinkNode).info.id);
    const client = await cluster.connect();
    for (const id of [...ids, ...ids]) {
      await cluster.api.updateSession(client.clientId, { $workers: { where: id } });
      expect(await whereIs(client)).toBe(id);
    }
    for (const pins of ['gone', 7, null, [ids[0]], { where: 'gone' }, { where: [ids[0]] }, { other: ids[0] }]) {
      await cluster.api.updateSession(client.clientId, { $workers: pins as never });
      expect(await whereIs(client)).toBe(ids[2]);
    }
  });

  it('is not pinned by a setting that has the name of a module, whatever it is', async () => {
    cluster = await createTestCluster({ workers: 3, handlers: { controllers: [Where] } });
    const client = await cluster.connect();
    const first = await whereIs(client);
    for (const { app } of cluster.workers) {
      await cluster.api.updateSession(client.clientId, { where: app.get(LinkNode).info.id });
      expect(await whereIs(client)).toBe(first);
    }
  });
});
