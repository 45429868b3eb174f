import type { Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { HandlersModule } from '@nestgate-app/handlers';
import { AgentLearner, Gate, type GateOptions, SessionLearner } from '@nestgate/gate';
import { createTestCluster, FakeClient, type TestCluster, UpgradeRefused, waitUntil } from '@nestgate/testing';
import { Journal, OrderTopics } from '../support/order-support.js';
import { NotingLearner } from '../support/lifecycle-support.js';

/** What keeps a process alive, by kind. What the test runner itself holds does not change. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (/^(TCP|Timeout|Immediate|Pipe)/.test(kind)) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Ends the connections of the HTTP server in its hook: hard, or in order as Apollo's module does. */
@Injectable()
class Cutter implements OnModuleInit, OnModuleDestroy {
  static how: 'destroy' | 'end' | undefined;
  private readonly sockets = new Set<Socket>();

  constructor(private readonly host: HttpAdapterHost) {}

  onModuleInit(): void {
    const server = this.host.httpAdapter.getHttpServer() as Server;
    server.on('connection', (socket: Socket) => this.sockets.add(socket));
  }

  async onModuleDestroy(): Promise<void> {
    const { how } = Cutter;
    if (!how) return;
    const server = this.host.httpAdapter.getHttpServer() as Server;
    const closed = how === 'end' ? new Promise(resolve => server.close(resolve)) : sleep(50);
    for (const socket of this.sockets) socket[how]();
    await closed;
  }
}

describe('closing the app', () => {
  let cluster: TestCluster;
  let learner: NotingLearner;
  let journal: Journal;
  const agents = { connect: () => undefined, disconnect: (): void | Promise<void> => undefined };

  afterEach(async () => {
    journal.open();
    await cluster.close();
  });

  async function start(gate: GateOptions = {}, workers = 0): Promise<void> {
    learner = new NotingLearner();
    journal = new Journal();
    cluster = await createTestCluster({
      workers,
      handlers: {
        imports: [HandlersModule],
        controllers: [OrderTopics],
        providers: [{ provide: Journal, useValue: journal }, ...(workers === 0 ? [Cutter] : [])],
      },
      gate: {
        ...gate,
        providers: [
          { provide: SessionLearner, useValue: learner },
          { provide: AgentLearner, useValue: agents },
        ],
      },
    });
  }

  it.each([0, 1])('answers what is handled first, then sends 1012 to all (%d workers)', async workers => {
    await start({}, workers);
    const busy = await cluster.connect();
    const idle = await cluster.connect();
    const ids = ['a', 'b', 'c'].map(name => busy.ask('order/hold', name));
    await journal.started('a');
    const closing = cluster.gate.app.close();
    await waitUntil('the gate to drain', () => !cluster.gate.app.get(Gate).isReady);
    await expect(cluster.connect()).rejects.toMatchObject(new UpgradeRefused(503));
    expect([busy.closedWith, idle.closedWith]).toEqual([undefined, undefined]);
    for (const name of ['a', 'b', 'c']) await journal.release(name);
    expect((await busy.closed).code).toBe(1012);
    expect((await idle.closed).code).toBe(1012);
    expect(ids.map(id => busy.frames.find(frame => frame.id === id)?.body)).toEqual(['a', 'b', 'c']);
    await closing;
    expect(learner.departed.map(departure => departure.reason.code)).toEqual([1012, 1012]);
  });

  it('gives each request that comes while it drains one answer, and soon', async () => {
    await start();
    const busy = await cluster.connect();
    const other = await cluster.connect();
    const held = busy.ask('order/hold', 'a');
    await journal.started('a');
    const closing = cluster.gate.app.close();
    await waitUntil('the gate to drain', () => !cluster.gate.app.get(Gate).isReady);
    const answer = await other.exchange('echo/echo', 'late', 1_000);
    expect(answer.error?.code ?? answer.body).toBe('late');
    await journal.release('a');
    await closing;
    expect(busy.frames.find(frame => frame.id === held)?.body).toBe('a');
    expect((await other.closed).code).toBe(1012);
  });

  it('waits for what its hooks do when clients leave', async () => {
    await start();
    let [began, done] = [0, 0];
    const save = async (): Promise<void> => {
      began++;
      await sleep(300);
      done++;
    };
    learner.bye = save;
    agents.disconnect = save;
    const clients = await Promise.all(Array.from({ length: 20 }, () => cluster.connect()));
    // One has left before, and its hooks run.
    clients[0]?.socket.terminate();
    await waitUntil('its hooks to begin', () => began === 2);
    await cluster.gate.app.close();
    agents.disconnect = () => undefined;
    expect([began, done]).toEqual([40, 40]);
  });

  it.each([
    ['destroy', 4],
    ['end', 2],
    [undefined, 4],
  ] as const)('says so when another module cuts the clients first (%s, %i)', async (how, count) => {
    await start();
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue(undefined);
    const clients = await Promise.all(Array.from({ length: count }, () => cluster.connect()));
    Cutter.how = how;
    try {
      await cluster.gate.app.close();
      const lines = warn.mock.calls.map(([line]) => String(line)).filter(line => line.includes('1006'));
      const expected = new RegExp(`^${count} of ${count} clients were cut .*set ws\\.port`);
      expect(lines).toEqual(how ? [expect.stringMatching(expected)] : []);
      for (const client of clients) expect((await client.closed).code).toBe(how ? 1006 : 1012);
    } finally {
      Cutter.how = undefined;
      warn.mockRestore();
    }
  });

  it('does not wait forever for hooks that never end', async () => {
    await start({ closeTimeout: 200 });
    learner.bye = () => new Promise<void>(() => undefined);
    const client = await cluster.connect();
    const before = performance.now();
    await cluster.gate.app.close();
    expect(performance.now() - before).toBeLessThan(4_000);
    expect((await client.closed).code).toBe(1012);
  });

  it('does not wait forever: past drainTimeout it closes although something is handled', async () => {
    await start({ drainTimeout: 150 });
    const client = await cluster.connect();
    client.send('order/hold', 'stuck');
    await journal.started('stuck');
    const closing = cluster.gate.app.close();
    expect((await client.closed).code).toBe(1012);
    expect(journal.running).toBe(1);
    await journal.release('stuck');
    await closing;
  });

  it('does not wait forever for clients that do not read or do not answer the close', async () => {
    await start({ closeTimeout: 200 });
    const deaf = await cluster.connect();
    const full = await cluster.connect();
    for (const client of [deaf, full]) client.socket.pause();
    // As much as the operating system takes, and then some for the outbox.
    const outbox = 512 * 1024;
    const text = 'x'.repeat(256 * 1024);
    let sent = 0;
    while (sent < 16 && (await cluster.api.sendToClient(full.clientId, 'a/b', text, { confirm: true }))) sent++;
    expect(sent * text.length).toBeGreaterThan(outbox);
    const before = Date.now();
    await cluster.gate.app.close();
    expect(Date.now() - before).toBeLessThan(4_000);
    expect(learner.departed.length).toBe(2);
  });

  it.each(['', 'GET /gate HTTP/1.1\r\nHost:'])('does not wait for a connection that only says %j', async text => {
    await start({ ws: { port: 0 } });
    const port = cluster.gate.app.get(Gate).wsPort as number;
    const silent = connect(port, '127.0.0.1', () => void silent.write(text));
    silent.on('error', () => undefined);
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    expect(await client.request('echo/echo', 1)).toBe(1);
    let isClosed = false;
    const closing = cluster.gate.app.close().then(() => (isClosed = true));
    expect((await client.closed).code).toBe(1012);
    try {
      await waitUntil('the app to be closed', () => isClosed, 3_000);
    } finally {
      silent.destroy();
      await closing;
    }
  });

  it.each([0, 1])('leaves nothing behind that keeps the process alive (%d workers)', async workers => {
    const before = resources();
    await start({ requestTimeout: 60_000, pingInterval: 100 }, workers);
    const clients = await Promise.all(Array.from({ length: 10 }, () => cluster.connect()));
    for (const client of clients) {
      await client.request('chat/login', { name: client.clientId });
      await client.request('chat/join', { room: 'room' });
      await client.exchange('echo/fail', {});
    }
    clients[0]?.socket.terminate();
    clients[1]?.send('echo/slow', { ms: 50 });
    for (const { app } of cluster.workers) await app.close();
    await cluster.gate.app.close();
    await Promise.all(clients.map(client => client.closed));
    let after: Record<string, number> = {};
    try {
      await waitUntil('everything to be let go', () => {
        after = resources();
        // The wait itself has no timer at this moment.
        return Object.entries(after).every(([kind, count]) => count <= (before[kind] ?? 0));
      });
    } catch {
      expect(after).toEqual(before);
    }
  });

  it('can be closed twice, and twice at once', async () => {
    await start();
    const client = await cluster.connect();
    await Promise.all([cluster.gate.app.close(), cluster.gate.app.close()]);
    await cluster.gate.app.close();
    expect((await client.closed).code).toBe(1012);
  });
});
