import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, type INestApplicationContext } from '@nestjs/common';
import { connect, type GateClient } from '@nestgate/client';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { moveContract, turnContract } from '@nestgate/link/internal';
import { createTestCluster, FakeClient, type TestCluster, type TestClusterOptions, waitUntil } from '@nestgate/testing';
import { OnTopic } from '@nestgate/worker';
import { WebSocket } from 'ws';
import { ResumeClient } from '../support/resume-client.js';

@Controller()
class VersionTopics {
  @OnTopic('version/echo')
  echo(): string {
    return 'here';
  }
}

const NEW_OPERATIONS = new Set(Object.values({ ...turnContract, ...moveContract }).map(({ id }) => id));

/** The node answers to the operations of sessions that move as a version does that had none. */
function makeOld(app: INestApplicationContext): void {
  const { dispatcher } = app.get(LinkNode);
  const entries = Reflect.get(dispatcher, 'entries') as Map<number, unknown>;
  const set = entries.set.bind(entries);
  for (const id of NEW_OPERATIONS) entries.delete(id);
  entries.set = (id, entry) => (NEW_OPERATIONS.has(id) ? entries : set(id, entry));
}

describe('nodes and clients of several versions', () => {
  let bus: MemoryBus;
  let parts: TestCluster[];
  const clients: { close(): void }[] = [];

  const start = async (options: TestClusterOptions, isOld = false): Promise<TestCluster> => {
    const part = await createTestCluster({
      link: () => bus.link(),
      ...options,
      setup: app => {
        if (isOld) makeOld(app);
      },
    });
    parts.push(part);
    return part;
  };
  // Nothing is left to wait for when these tests end.
  const resuming = { gate: { resume: {}, messageRate: 0, drainTimeout: 500 } };
  const plain = { gate: { messageRate: 0 } };
  const handlers = { controllers: [VersionTopics] };
  const open = async ({ gate: { url } }: TestCluster): Promise<ResumeClient> => {
    const client = await ResumeClient.open(url);
    clients.push({ close: () => client.cut() });
    return client;
  };
  const comeTo = ({ gate: { url } }: TestCluster, client: ResumeClient) => {
    client.url = url;
    return client.resume();
  };
  const meet = (): Promise<unknown> =>
    waitUntil('all nodes to know each other', () => {
      const nodes = parts.flatMap(({ gates, workers }) => [...gates, ...workers].map(({ app }) => app.get(LinkNode)));
      return nodes.every(({ peers }) => peers.size === nodes.length);
    });

  beforeEach(() => {
    bus = new MemoryBus();
    parts = [];
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const part of parts) await part.close();
  });

  it.each(['gate', 'worker'] as const)(
    'an older %s on the link: no session moves; its client is told, gets a new one, and goes on',
    async kind => {
      const a = await start({ ...resuming, handlers });
      const b = await start(resuming);
      // All nodes of this part are older.
      await start(kind === 'gate' ? plain : { ...plain, workers: 1, handlers }, true);
      await meet();
      const [moving, staying] = [await open(a), await open(a)];
      const { clientId: before } = moving;
      const { clientId: stayed } = staying;
      await b.api.joinGroup([before, stayed], 'room');
      expect((await comeTo(b, moving)).clientId).not.toBe(before);
      expect(moving.ownOf('refused')).toMatchObject([{ code: 'RESUME_LOST' }]);
      expect(await moving.request('version/echo')).toBe('here');
      await b.api.sendToClient(moving.clientId, 'p/p', 1);
      // What cannot move is resumed where it is.
      staying.cut();
      await waitUntil('it to be away', async () => (await b.api.getClientState(stayed)) === 'away');
      await b.api.sendToGroup('room', 'p/p', 2);
      expect((await comeTo(a, staying)).clientId).toBe(stayed);
      await waitUntil('the pushes', () => moving.pushed('p/p').length > 0 && staying.pushed('p/p').length > 0);
      expect([moving.pushed('p/p'), staying.pushed('p/p'), staying.gaps]).toEqual([[1], [2], []]);
    },
  );

  it('a client of an older version is served as before by a gate with sessions', async () => {
    const a = await start({ ...resuming, handlers });
    const client = await FakeClient.connect(a.gate.url, { protocols: ['gate.json'] });
    clients.push({ close: () => client.socket.terminate() });
    expect(client.socket.protocol).toBe('gate.json');
    expect(await client.request('version/echo')).toBe('here');
    expect(await a.api.getClientState(client.clientId)).toBe('online');
    client.socket.terminate();
    await waitUntil('its end', async () => (await a.api.getClientState(client.clientId)) === 'gone');
  });

  it('a client that comes to a gate without sessions is told that messages may be missing, and goes on', async () => {
    const a = await start({ ...resuming, handlers });
    const b = await start(plain);
    await meet();
    let { url } = a.gate;
    const sockets: WebSocket[] = [];
    // Stands for a balancer.
    class Balanced extends WebSocket {
      constructor(_: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    }
    const client: GateClient = connect(url, { WebSocket: Balanced as never });
    clients.push(client);
    const gaps: unknown[] = [];
    client.on('gap', gap => gaps.push(gap));
    await waitUntil('it to be online', () => client.state.name === 'online');
    const { clientId } = client;
    ({ url } = b.gate);
    sockets[0]?.terminate();
    await waitUntil('a new session', () => client.state.name === 'online' && client.clientId !== clientId);
    expect(gaps).toMatchObject([{ n: null }]);
    expect(await client.request('version/echo')).toBe('here');
  });
});
