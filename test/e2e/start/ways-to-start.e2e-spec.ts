import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication, INestApplicationContext } from '@nestjs/common';
import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import { Gate, GateModule } from '@nestgate/gate';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { createTestCluster, FakeClient, freePort, type TestCluster, waitUntil } from '@nestgate/testing';
import { GatewayApi, GatewayApiModule, GateTransport, WorkerModule } from '@nestgate/worker';
import { appModule, hooksSeenAt, NOT_SERVING, SERVING, SlowModule } from './support/ways-to-start-support.js';
import { Recorder } from '../../support/recorder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BOTH_HOOKS = 2;

/** Answers that say that there is nobody yet. */
const NOBODY: ReadonlySet<unknown> = new Set(['ECONNREFUSED', 'NO_ROUTE', 'NO_WORKER', 503]);

async function isTaken(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const [event] = await Promise.race([
    once(socket, 'connect').then(() => ['connect']),
    new Promise<string[]>(resolve => socket.once('error', () => resolve(['error']))),
  ]);
  socket.destroy();
  return event === 'connect';
}

describe('every way to start', () => {
  let lines: Recorder;
  let cluster: TestCluster | undefined;
  const apps: INestApplicationContext[] = [];
  const note = (app: INestApplicationContext): void => void apps.push(app);

  beforeEach(() => {
    lines = new Recorder({ debug: true });
    SlowModule.hooks = 0;
  });
  afterEach(async () => {
    for (const app of apps.splice(0).toReversed()) await app.close();
    await cluster?.close();
    cluster = undefined;
  });

  /** Asks again and again until the start is over and one answer has come from a handler. */
  async function askDuring(start: Promise<unknown>, ask: () => Promise<unknown>): Promise<unknown[]> {
    const state = { isOver: false };
    const started = start.finally(() => (state.isOver = true));
    const answers: unknown[] = [];
    while (answers.length < 5_000 && !(state.isOver && typeof answers.at(-1) === 'number')) {
      answers.push(await ask());
      await sleep(2);
    }
    await started;
    return answers;
  }

  describe.each(Object.entries(SERVING))('%s', (_name, way) => {
    it('a gate on ports of its own accepts clients when all hooks have run', async () => {
      const [ws, tcp] = [await freePort(), await freePort()];
      const module = appModule(
        GateModule.forRoot({ ws: { port: ws }, tcp: { port: tcp }, messageRate: 0, maxConnectionRate: 0 }),
      );
      const answers = await askDuring(way(module, lines, note), () => hooksSeenAt(ws));
      const seen = answers.filter(answer => !NOBODY.has(answer));
      expect(new Set(seen.map(hooks => Number(hooks) >= BOTH_HOOKS))).toEqual(new Set([true]));
      expect(await isTaken(tcp)).toBe(true);
      expect(lines.of('log', `WebSocket clients at ws://127.0.0.1:${ws}/gate`)).toHaveLength(1);
      expect(lines.of('log', `TCP clients (pack) at 127.0.0.1:${tcp}`)).toHaveLength(1);
      expect(lines.of('log', 'Handles 1 topic of 1 module')).toHaveLength(1);
      expect(lines.of('debug', 'ways/hooks')).toHaveLength(1);
      expect([...lines.of('warn'), ...lines.of('error')]).toEqual([]);
    });

    it('a worker handles frames when all hooks have run', async () => {
      const bus = new MemoryBus();
      cluster = await createTestCluster({ link: () => bus.link(), gate: { workerWait: 0, messageRate: 0 } });
      const client = await cluster.connect();
      const module = appModule(WorkerModule.forRoot({ link: bus.link() }));
      const answers = await askDuring(way(module, lines, note), async () => {
        const frame = await client.exchange('ways/hooks');
        return frame.error?.code ?? frame.body;
      });
      const seen = answers.filter(answer => !NOBODY.has(answer));
      expect(new Set(seen.map(hooks => Number(hooks) >= BOTH_HOOKS))).toEqual(new Set([true]));
      expect([...lines.of('warn'), ...lines.of('error')]).toEqual([]);
    });
  });

  describe.each(Object.entries(NOT_SERVING))('%s', (_name, way) => {
    it('a gate takes no clients, no port and no part in the cluster, and says so once', async () => {
      const [ws, tcp, link] = [await freePort(), await freePort(), await freePort()];
      const options = { ws: { port: ws }, tcp: { port: tcp }, link: `tcp://127.0.0.1:${link}` };
      await way(appModule(GateModule.forRoot(options)), lines, note);
      await waitUntil('the warning', () => lines.of('warn').length > 0);
      expect(await Promise.all([ws, tcp, link].map(isTaken))).toEqual([false, false, false]);
      expect(lines.of('warn')).toEqual([
        expect.stringMatching(
          /no server that listens.*topics are not handled \(1\).*clients are not accepted.*app\.listen\(\)/,
        ),
      ]);
      // What it has itself can be asked.
      expect(await apps[0]?.get(GatewayApi).getAllClientCount()).toBe(0);
    });

    it('a worker has no topics, and joins with its first call', async () => {
      const bus = new MemoryBus();
      cluster = await createTestCluster({ link: () => bus.link() });
      const client = await cluster.connect();
      await way(appModule(WorkerModule.forRoot({ link: bus.link(), nodeId: 'script' })), lines, note);
      await waitUntil('the warning', () => lines.of('warn').length > 0);
      const { peers } = cluster.gate.app.get(LinkNode);
      expect(peers.has('script')).toBe(false);
      const api = apps[0]?.get<GatewayApi>(GatewayApi);
      expect(await api?.sendToAll('seed/done', 1, undefined, undefined, { confirm: true })).toEqual({ delivered: 1 });
      expect(peers.get('script')?.info.modules).toEqual([]);
      expect((await client.exchange('ways/hooks')).error?.code).toBe('NO_ROUTE');
      expect(lines.of('warn')).toHaveLength(1);
    });

    it('joinWithoutServer: false keeps it from the link, true has a gate join it', async () => {
      const bus = new MemoryBus();
      cluster = await createTestCluster({ link: () => bus.link() });
      const { peers } = cluster.gate.app.get(LinkNode);
      await way(appModule(WorkerModule.forRoot({ link: bus.link(), joinWithoutServer: false })), lines, note);
      const call = apps[0]?.get(GatewayApi).getAllClientCount();
      await expect(call).rejects.toMatchObject({ code: 'LINK_UNAVAILABLE' });
      await way(appModule(GatewayApiModule.forRoot({ link: bus.link(), joinWithoutServer: false })), lines, note);
      expect(peers.size).toBe(1);
      const gate = GateModule.forRoot({ link: bus.link(), nodeId: 'g2', joinWithoutServer: true });
      await way(appModule(gate), lines, note);
      expect(peers.has('g2')).toBe(true);
    });
  });

  it('a service without a server joins at its start', async () => {
    const bus = new MemoryBus();
    cluster = await createTestCluster({ link: () => bus.link() });
    apps.push(
      await NestFactory.createApplicationContext(GatewayApiModule.forRoot({ link: bus.link(), nodeId: 'api' })),
    );
    expect(cluster.gate.app.get(LinkNode).peers.has('api')).toBe(true);
  });

  it('an app that is initialized only serves its first client, however its server came to listen', async () => {
    const app = await NestFactory.create(appModule(GateModule.forRoot({})), { logger: lines });
    apps.push(app);
    await app.init();
    const server = app.getHttpServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = await FakeClient.connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/gate`);
    expect((await client.exchange('ways/hooks')).error?.code).toBe('NO_ROUTE');
    client.socket.terminate();
  });

  it('two apps of one process do not know of each other', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const way = SERVING['createMicroservice'] as (typeof SERVING)[string];
    for (const port of [first, second]) await way(appModule(GateModule.forRoot({ ws: { port } })), lines, note);
    expect(await hooksSeenAt(first)).toBeGreaterThanOrEqual(BOTH_HOOKS);
    await apps.shift()?.close();
    expect(await hooksSeenAt(first)).toBe('ECONNREFUSED');
    expect(await hooksSeenAt(second)).toBeGreaterThanOrEqual(BOTH_HOOKS);
  });

  it('declares the HTTP route of the endpoint once, which Fastify insists on', async () => {
    const app = await NestFactory.create(appModule(GateModule.forRoot({})), { logger: lines });
    apps.push(app);
    const { httpAdapter } = app.get(HttpAdapterHost);
    const declared: string[] = [];
    const all = httpAdapter.all.bind(httpAdapter) as (...args: unknown[]) => unknown;
    Object.assign(httpAdapter, {
      all: (path: string, ...rest: unknown[]) => {
        declared.push(path);
        return all(path, ...rest);
      },
    });
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { deferInitialization: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    expect(declared.filter(path => path === '/gate')).toEqual(['/gate']);
  });

  it('a port that is taken is an error of listen', async () => {
    const port = await freePort();
    const start = async (): Promise<INestApplication> => {
      const app = await NestFactory.create(appModule(GateModule.forRoot({ tcp: { port } })), { logger: lines });
      apps.push(app);
      await app.listen(0, '127.0.0.1');
      return app;
    };
    await start();
    await expect(start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const [, second] = apps as INestApplication[];
    expect(second?.getHttpServer().listening).toBe(false);
  });

  it('forgotten startAllMicroservices() is one warning, which says what to write', async () => {
    const app = await NestFactory.create(appModule(GateModule.forRoot({})), { logger: lines });
    apps.push(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
    await app.listen(0, '127.0.0.1');
    await waitUntil('the warning', () => lines.of('warn').length > 0);
    expect(lines.of('warn')).toEqual([
      expect.stringMatching(
        /WaysTopics\.hooks.*not started.*connectMicroservice.*await app\.startAllMicroservices\(\);/,
      ),
    ]);
    expect(app.get(Gate).isReady).toBe(true);
  });

  it('the REPL has the providers, and no clients', async () => {
    const ws = await freePort();
    const script = `
      import 'reflect-metadata';
      import { repl } from '@nestjs/core';
      import { GateModule } from '@nestgate/gate';
      await repl(GateModule.forRoot({ ws: { port: ${ws} } }));
    `;
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', data => (output += String(data)));
    try {
      await waitUntil('the prompt', () => output.includes('> '), 15_000);
      expect(await isTaken(ws)).toBe(false);
      // Longer than a time or a process id, which are in the output too.
      child.stdin?.write('get(Gate).delegater.getAgentNum() + 9021048576\n');
      await waitUntil('the answer', () => output.includes('9021048576'), 5_000);
      expect(output).toContain('clients are not accepted');
    } finally {
      child.kill('SIGKILL');
    }
  });
});
