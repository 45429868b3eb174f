import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { Delegater, GateCounters, StorageHandler } from '@nestgate/gate';
import { RedisStorage } from '@nestgate/gate/redis';
import { createTestCluster, FakeClient, RedisProcess, type TestCluster, waitUntil } from '@nestgate/testing';
import { Redis } from 'ioredis';
import { collectGarbage } from '../support/held-memory.js';

const CYCLES = 4_000;
/** Cycles before anything is measured: caches fill, code is compiled. */
const WARM_UP = 1_500;
const AT_ONCE = 100;
const USERS = 500;
const GROUPS = 20;
/** Less than a kilobyte for each client. */
const HEAP_MB = 3;

describe('clients that come and go all the time', () => {
  let server: RedisProcess;
  let admin: Redis;
  let cluster: TestCluster;

  beforeAll(async () => {
    server = await RedisProcess.start();
    admin = new Redis(server.url);
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: {
        maxConnectionsPerIp: 0,
        maxConnectionRate: 0,
        messageRate: 0,
        providers: [{ provide: StorageHandler, useValue: new RedisStorage({ client: server.url }) }],
      },
    });
  });
  afterAll(async () => {
    await cluster.close();
    admin.disconnect();
    await server.end();
  });

  /** One client's life: it connects, binds, joins, says something, and ends cleanly, abruptly, or in the middle. */
  async function live(n: number): Promise<void> {
    // Several addresses, so that the ports of one do not run out.
    const client = await FakeClient.connect(cluster.gate.url, { localAddress: `127.0.0.${2 + (n % 16)}` });
    const end = Math.floor(n / 7) % 5;
    const name = `user${n % USERS}`;
    const group = `group${n % GROUPS}`;
    client.ask('chat/login', { name });
    client.ask('fan/join', { group });
    client.send('fan/out', { group, data: n });
    if (end === 0) {
      client.socket.terminate();
    } else {
      // Frames of one client are handled in order: what was asked before has been answered then.
      expect(await client.request('session/set', { key: 'n', value: n })).toMatchObject({
        userId: name,
        settings: { n },
      });
      expect(client.frames.filter(frame => frame.error)).toEqual([]);
      if (end === 1) client.socket.terminate();
      else if (end === 2) client.sendRaw(Buffer.from('not a text frame'));
      else if (end === 3) await cluster.api.closeClient(client.clientId);
      else client.socket.close();
    }
    await client.closed;
  }

  async function churn(cycles: number): Promise<void> {
    for (let n = 0; n < cycles; n += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => live(n + i)));
    }
    await waitUntil('all to be gone', async () => (await cluster.api.getAllClientCount()) === 0);
  }

  it('leave nothing behind', async () => {
    const idle = resources();
    await churn(WARM_UP);
    const before = { heap: await heapMb(), redisClients: await redisClients() };
    await churn(CYCLES);
    expect((await heapMb()) - before.heap).toBeLessThan(HEAP_MB);

    const { api, gate } = cluster;
    expect(gate.app.get(Delegater).getAgentNum()).toBe(0);
    expect(await api.getAllUidList()).toEqual([]);
    expect(await api.getAllGroupIdList()).toEqual([]);
    expect(await api.getAllGroupClientIdCount()).toEqual({});
    expect(await redisClients()).toBe(before.redisClients);
    expect(await admin.dbsize()).toBe(USERS);
    expect(gate.app.get(GateCounters).snapshot()['storage_failures']).toBeUndefined();
    await waitUntil('timers and sockets to be no more than before', () => {
      const now = resources();
      return now.timers <= idle.timers && now.sockets <= idle.sockets;
    });

    const client = await cluster.connect();
    expect(await client.request('chat/login', { name: 'user1' })).toEqual({ uid: 'user1' });
  }, 600_000);

  /** What keeps the process busy, by kind. */
  function resources(): { readonly timers: number; readonly sockets: number } {
    const kinds = process.getActiveResourcesInfo();
    const count = (kind: string): number => kinds.filter(name => name === kind).length;
    return { timers: count('Timeout'), sockets: count('TCPSocketWrap') };
  }

  async function heapMb(): Promise<number> {
    for (let n = 0; n < 3; n++) {
      collectGarbage();
      await new Promise(resolve => setImmediate(resolve));
    }
    return process.memoryUsage().heapUsed / 2 ** 20;
  }

  async function redisClients(): Promise<number> {
    return String(await admin.client('LIST'))
      .trim()
      .split('\n').length;
  }
});
