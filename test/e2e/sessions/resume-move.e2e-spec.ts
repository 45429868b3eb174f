import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { Gate } from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, GatewayApi, OnConnect, OnDisconnect, OnTopic, type Session } from '@nestgate/worker';
import { LINKS, LinkSupply } from '../support/links.js';
import { ResumeClient } from '../support/resume-client.js';

/** What the handlers have begun, and which hooks ran, by client. */
const handled = new Map<string, unknown[]>();
const hooks: string[] = [];
const doors = new Map<number, () => void>();

function note(map: Map<string, unknown[]>, key: string, value: unknown): void {
  const list = map.get(key) ?? [];
  map.set(key, list);
  list.push(value);
}

@Controller()
class MoveTopics {
  constructor(private readonly api: GatewayApi) {}

  @OnConnect()
  connect(@ClientSession() { clientId }: Session): void {
    hooks.push(`connect ${clientId}`);
  }

  @OnDisconnect()
  disconnect(@ClientSession() { clientId }: Session): void {
    hooks.push(`disconnect ${clientId}`);
  }

  @OnTopic('move/take')
  take(@Payload() body: number, @ClientSession() session: Session): unknown {
    note(handled, session.clientId, body);
    return body;
  }

  /** Replies when the test lets it, behind a push to its own client. */
  @OnTopic('move/slow')
  async slow(@Payload() body: number, @ClientSession() session: Session): Promise<unknown> {
    await new Promise<void>(resolve => doors.set(body, resolve));
    await this.api.sendToClient(session.clientId, 'p/before', body);
    return body;
  }

  @OnTopic('move/bind')
  async bind(@Payload() uid: string, @ClientSession() session: Session): Promise<void> {
    await session.toBind(uid);
    await this.api.joinGroup(session.clientId, 'room');
    await session.toSet('key', 'value');
  }
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe.each(LINKS)('a session that is resumed on another gate, over %s', link => {
  let supply: LinkSupply;
  let cluster: TestCluster;

  beforeAll(async () => {
    supply = await LinkSupply.open(link);
    cluster = await createTestCluster({
      gates: 3,
      workers: 2,
      handlers: { controllers: [MoveTopics] },
      gate: { resume: { maxDetachedPerAddress: 0 }, messageRate: 0, maxConnectionsPerIp: 0, maxConnectionRate: 0 },
      link: await supply.forCluster(3, { meshed: true }),
    });
  }, 60_000);
  afterAll(async () => {
    await cluster.close();
    await supply.close();
  });

  const url = (gate: number): string => (cluster.gates[gate] as { url: string }).url;
  const moveTo = async (client: ResumeClient, gate: number) => {
    client.url = url(gate);
    return client.resume();
  };

  it('keeps its id, uid, groups and settings, and gets what was sent meanwhile', async () => {
    const client = await ResumeClient.open(url(0));
    const { clientId } = client;
    await client.request('move/bind', `u-${link}`);
    client.cut();
    await cluster.api.sendToClient(clientId, 'p/p', 1);
    await cluster.api.sendToUid(`u-${link}`, 'p/p', 2);
    await cluster.api.sendToGroup('room', 'p/p', 3);
    const { clientId: resumed, from, heard } = await moveTo(client, 1);
    expect([resumed, from, heard]).toEqual([clientId, 2, 1]);
    await waitUntil('what was sent', () => client.pushed('p/p').length === 3);
    for (const [n, api] of [...cluster.gates, ...cluster.workers].map(({ api: one }, i) => [i, one] as const)) {
      await api.sendToClient(clientId, 'p/p', `c${n}`);
      await api.sendToUid(`u-${link}`, 'p/p', `u${n}`);
      await api.sendToGroup('room', 'p/p', `g${n}`);
      await api.sendToAll('p/p', `a${n}`);
      await waitUntil('four pushes', () => client.pushed('p/p').length >= 7 + n * 4);
    }
    expect(client.pushed('p/p')).toEqual([
      1,
      2,
      3,
      ...numbers(0, 4).flatMap(n => [`c${n}`, `u${n}`, `g${n}`, `a${n}`]),
    ]);
    expect(await client.request('move/take', 5)).toBe(5);
    expect(await cluster.api.getSession(clientId)).toEqual({ key: 'value' });
    expect(await cluster.api.getUidByClientId(clientId)).toBe(`u-${link}`);
    expect(await cluster.api.isOnline(clientId)).toBe(true);
    expect(client.gaps).toEqual([]);
    expect(hooks.filter(line => line.endsWith(clientId))).toEqual([`connect ${clientId}`]);
    await cluster.api.closeClient(clientId);
    expect(await client.closed()).toBe(4002);
    await waitUntil('its end', () => hooks.includes(`disconnect ${clientId}`));
    await client.resume();
    expect(client.ownOf('refused')).toMatchObject([{ code: 'RESUME_CLOSED', closeCode: 4002 }]);
    client.cut();
  }, 30_000);

  it('comes home, and goes on to a third gate', async () => {
    const client = await ResumeClient.open(url(0));
    const { clientId } = client;
    for (const [i, gate] of [1, 0, 2, 1, 0, 0].entries()) {
      await moveTo(client, gate);
      expect(client.clientId).toBe(clientId);
      expect(await client.request('move/take', i)).toBe(i);
      await cluster.api.sendToClient(clientId, 'p/p', i);
      await waitUntil('the push', () => client.pushed('p/p').length === i + 1);
    }
    expect(handled.get(clientId)).toEqual(numbers(0, 5));
    expect([client.ownOf('refused'), client.gaps]).toEqual([[], []]);
    client.sendOwn({ topic: '$gate/bye' });
    await client.closed();
  }, 30_000);

  it('delivers the reply of a request that was running, behind what its handler has sent', async () => {
    const client = await ResumeClient.open(url(0));
    const id = client.ask('move/slow', 77);
    const open = await waitUntil('the handler', () => doors.get(77));
    doors.delete(77);
    await moveTo(client, 1);
    const next = client.ask('move/take', 78);
    await cluster.workers[0]?.api.sendToClient(client.clientId, 'p/p', 1);
    await waitUntil('the push', () => client.pushed('p/p').length === 1);
    expect(client.frames.some(frame => frame.id === next)).toBe(false);
    open();
    expect((await client.answer(id)).body).toBe(77);
    expect((await client.answer(next)).body).toBe(78);
    const order = client.frames.map(({ topic, id: of }) => topic ?? of);
    expect(order).toEqual(['p/p', 'p/before', id, next]);
    client.cut();
  }, 30_000);

  it('delivers each push once and in the order of its sender, while it moves again and again', async () => {
    const client = await ResumeClient.open(url(0));
    const { clientId } = client;
    const uid = `ledger-${link}`;
    await cluster.api.bindUid(clientId, uid);
    await cluster.api.joinGroup(clientId, uid);
    const moves = process.env['NESTGATE_FAULTS'] === 'long' ? 1_000 : 30;
    const senders = [...cluster.gates, ...cluster.workers].map(({ api }) => api);
    const sent = senders.map(() => 0);
    const stop = new AbortController();
    const send = async (api: GatewayApi, of: number): Promise<void> => {
      while (!stop.signal.aborted) {
        const next = (): [number, number] => [of, (sent[of] = (sent[of] ?? 0) + 1)];
        await api.sendToClient(clientId, 'p/p', next());
        await api.sendToUid(uid, 'p/p', next());
        await api.sendToGroup(uid, 'p/p', next());
        await api.sendToAll('p/p', next());
        await new Promise(resolve => setTimeout(resolve, 1));
      }
    };
    const sending = senders.map(send);
    for (let i = 1; i <= moves; i++) await moveTo(client, i % 3);
    stop.abort();
    await Promise.all(sending);
    const all = sent.reduce((sum, n) => sum + n, 0);
    await waitUntil('all pushes', () => client.frames.length >= all, 20_000);
    const got = client.pushed('p/p') as [number, number][];
    for (const of of senders.keys()) {
      expect(got.filter(([from]) => from === of).map(([, n]) => n)).toEqual(numbers(1, sent[of] ?? 0));
    }
    expect([client.gaps, client.ownOf('refused')]).toEqual([[], []]);
    const { counters } = (cluster.gates[1] as { app: { get(type: typeof Gate): Gate } }).app.get(Gate);
    expect(counters.get('sessions_resumed', 'moved')).toBeGreaterThanOrEqual(moves / 3 - 1);
    client.cut();
  }, 600_000);
});
