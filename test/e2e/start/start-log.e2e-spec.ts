import { spawn } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication, INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AsyncMicroserviceOptions } from '@nestjs/microservices';
import { GateModule } from '@nestgate/gate';
import { freePort, waitUntil } from '@nestgate/testing';
import { GatewayApiModule, GateTransport, type NodeOptions, WorkerModule } from '@nestgate/worker';
import { AppProcess } from '../support/app-process.js';
import { RawSocket } from '../support/raw-socket.js';
import { appModule } from './support/ways-to-start-support.js';
import { Recorder } from '../../support/recorder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const secret = 'shared';

describe('what the log says', () => {
  let lines: Recorder;
  const apps: INestApplicationContext[] = [];

  beforeEach(() => void (lines = new Recorder({ debug: true })));
  afterEach(async () => {
    for (const app of apps.splice(0).toReversed()) await app.close();
  });

  async function gate(link: string): Promise<INestApplication> {
    const options = { link, secret, nodeId: 'g1', startupWait: 0 };
    const app = await NestFactory.create(appModule(GateModule.forRoot(options)), { logger: lines });
    apps.push(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    return app;
  }

  async function worker(options: NodeOptions): Promise<void> {
    const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(
      appModule(WorkerModule.forRoot(options)),
      {
        inject: [GateTransport],
        useFactory: (strategy: GateTransport) => ({ strategy }),
        logger: lines,
      },
    );
    apps.push(app);
    await app.listen();
  }

  it('where a gate is, which nodes come and go, and whom it refuses', async () => {
    const port = await freePort();
    const link = `tcp://127.0.0.1:${port}`;
    const app = await gate(link);
    const { port: http } = app.getHttpServer().address() as AddressInfo;
    expect(lines.of('log')).toEqual(
      expect.arrayContaining([
        `log WebSocket clients at ws://127.0.0.1:${http}/gate`,
        `log Joined as gate g1: tcp (plaintext), accepts nodes on 127.0.0.1:${port}`,
        'log Sessions of bound users are stored in MemoryStorage',
        'log Handles 1 topic of 1 module',
      ]),
    );
    await worker({ link, secret, nodeId: 'w1' });
    await waitUntil('the line', () => lines.of('log', 'worker w1 has joined, with modules ways').length === 1);
    expect(
      lines.of('log', `Joined as worker w1: tcp (plaintext), connects to gates at 127.0.0.1:${port}`),
    ).toHaveLength(1);
    expect(lines.of('log', 'gate g1 has joined')).toHaveLength(1);
    await apps.pop()?.close();
    await waitUntil('the line', () => lines.of('log', 'worker w1 has left').length === 1);

    await expect(worker({ link, secret: 'other', nodeId: 'w2' })).rejects.toThrow('The secret is not the same');
    await waitUntil('the line', () => lines.of('warn', 'was refused: The secret is not the same').length === 1);
    apps.pop();

    // A port scan causes only a few lines.
    const before = lines.lines.length;
    for (let n = 0; n < 60; n++) {
      const socket = await RawSocket.open(port);
      socket.socket.write('GET / HTTP/1.1\r\n\r\n');
      await waitUntil('the end', () => socket.ended);
    }
    await waitUntil('the summary', () => lines.of('warn', 'more lines (warn) were not logged').length > 0);
    const refused = lines.of('warn', 'Not a nestgate node');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.every(line => /^warn A connection of 127\.0\.0\.1:\d+ was refused: /.test(line))).toBe(true);
    expect(lines.lines.length - before).toBeLessThan(40);
  });

  it('which gates a service does not reach, and why', async () => {
    const app = await gate('memory:');
    const { port: http } = app.getHttpServer().address() as AddressInfo;
    const nobody = await freePort();
    const wrong: Record<string, RegExp> = {
      [`127.0.0.1:${nobody}`]: /ECONNREFUSED/,
      [`127.0.0.1:${http}`]: /Not a nestgate node|ended the connection/,
      'gate.invalid:7400': /the name stands for no address/,
    };
    await Promise.all(
      Object.keys(wrong).map(async address => {
        const module = GatewayApiModule.forRoot({ link: `tcp://${address}`, secret });
        apps.push(await NestFactory.createApplicationContext(module, { logger: lines }));
      }),
    );
    for (const [address, reason] of Object.entries(wrong)) {
      const line = await waitUntil(
        'the warning',
        () => lines.of('warn', `No gate is in reach 5 s after the start: ${address} (`)[0],
        20_000,
      );
      expect(line).toMatch(reason);
    }
  });

  it('what is wrong with NATS, with the logger of the app', async () => {
    const url = `nats://127.0.0.1:${await freePort()}`;
    const app = await NestFactory.create(GatewayApiModule.forRoot({ link: url }), { logger: lines });
    apps.push(app);
    const starting = app.init();
    starting.catch(() => undefined);
    await waitUntil('the warning', () => lines.of('warn', url.slice('nats://'.length)).length === 1);
    apps.pop();
    // The start waits for a server until the link is closed.
    const { LinkNode } = await import('@nestgate/link');
    await app.get(LinkNode).close();
    await starting.catch(() => undefined);
    await app.close();
  });

  it('as JSON only, with NESTGATE_LOG=json', async () => {
    const app = AppProcess.spawn({ NESTGATE_LOG: 'json', LOG_LEVEL: 'log' });
    try {
      await waitUntil('the app to start', () => app.output.includes('WebSocket clients at ws://'), 15_000);
      app.signal('SIGTERM');
      await app.exitWithin(10_000);
      const records = app.output
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line) as { message: string });
      expect(records.map(record => record.message)).toEqual(
        expect.arrayContaining([expect.stringMatching(/^WebSocket clients at ws:.*\/gate$/)]),
      );
    } finally {
      await app.end();
    }
    const wrong = AppProcess.spawn({ NESTGATE_LOG: 'yaml' });
    expect((await wrong.exitWithin(15_000)).code).toBeGreaterThan(0);
    expect(wrong.output).toContain('NESTGATE_LOG=yaml is not allowed; allowed: text, json');
  });
});

describe('processes of node:cluster', () => {
  const SCRIPT = `
    import 'reflect-metadata';
    import cluster from 'node:cluster';
    import { NestFactory } from '@nestjs/core';
    import { GateModule } from '@nestgate/gate';
    if (cluster.isPrimary) {
      const ends = [1, 2].map(async n => {
        const worker = cluster.fork();
        await new Promise(resolve => {
          worker.on('message', resolve);
          worker.on('exit', resolve);
        });
        return worker;
      });
      for (const worker of await Promise.all(ends)) worker.process.kill('SIGKILL');
      console.log('all started');
      process.exit(0);
    }
    const options = JSON.parse(process.argv[1]);
    try {
      const app = await NestFactory.create(GateModule.forRoot(options), { logger: ['warn', 'error'], abortOnError: false });
      await app.listen(0, '127.0.0.1');
      process.send('started');
    } catch (error) {
      console.log(error.message);
      process.exit(1);
    }
  `;

  async function run(options: object): Promise<string> {
    const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT, JSON.stringify(options)], {
      cwd: ROOT,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (output += String(data)));
    try {
      await waitUntil('both to have started', () => output.includes('all started'), 30_000);
    } catch (error) {
      throw new Error(output, { cause: error });
    } finally {
      child.kill('SIGKILL');
    }
    return output;
  }

  it('warn of a link that connects none of them', async () => {
    const output = await run({});
    expect(output.match(/one of several .*Set link to tcp:\/\/ or nats:\/\//g)).toHaveLength(2);
  });

  it.each(['link', 'tcp', 'ws.port'])('do not share the port of %s, and say what to do', async what => {
    const port = await freePort();
    const link = `tcp://127.0.0.1:${what === 'link' ? port : 0}`;
    const output = await run({
      link,
      ...(what === 'tcp' ? { tcp: { port } } : what === 'ws.port' ? { ws: { port } } : {}),
    });
    const remedy = `127.0.0.1:${port}: ${what === 'link' ? 'the link' : what} needs a port of its own in each process of node:cluster`;
    expect(
      output.split('\n').filter(line => line.startsWith('listen EADDRINUSE') && line.includes(remedy)),
    ).toHaveLength(1);
  });
});
