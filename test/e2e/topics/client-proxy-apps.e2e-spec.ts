import { spawn } from 'node:child_process';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type INestApplicationContext, Inject, Injectable } from '@nestjs/common';
import { ClientProxyFactory, ClientsModule } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { LinkNode, MemoryBus, TcpLink } from '@nestgate/link';
import { createTestCluster, freePort, type TestCluster, waitUntil } from '@nestgate/testing';
import { GateClientProxy, GatewayApi, GatewayApiModule, WorkerModule } from '@nestgate/worker';
import { lastValueFrom } from 'rxjs';
import { linksOf } from '../support/insides.js';
import { startWorkerApp } from '../../support/start-app.js';

/** A service that knows nothing of how its client was made. */
@Injectable()
class Office {
  constructor(@Inject('GATES') readonly gates: GateClientProxy) {}

  count(): Promise<number> {
    return lastValueFrom(this.gates.send('clientCount', {}));
  }
}

/** A job: it asks, pushes, and closes its app at once. */
const JOB = `
  import 'reflect-metadata';
  import { NestFactory } from '@nestjs/core';
  import { ClientsModule } from '@nestjs/microservices';
  import { GateClientProxy } from '@nestgate/worker';
  const options = { link: process.env.LINK, secret: 'shared' };
  const clients = ClientsModule.register([{ name: 'GATES', customClass: GateClientProxy, options }]);
  const app = await NestFactory.createApplicationContext(clients, { logger: ['error'] });
  app.get('GATES').emit('broadcast', { topic: 't/job', body: 'done' });
  await app.close();
  process.stdout.write('closed');
`;

describe('a GateClientProxy', () => {
  const opened: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0).toReversed()) await each.close();
  });

  async function clusterOn(bus: MemoryBus): Promise<TestCluster> {
    const cluster = await createTestCluster({ gates: 2, link: () => bus.link() });
    opened.push(cluster);
    await cluster.connect({ gate: 1 });
    return cluster;
  }

  async function start(
    imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>,
  ): Promise<INestApplicationContext> {
    const app = await Test.createTestingModule({ imports, providers: [Office] }).compile();
    opened.push(app);
    return app.init();
  }

  /** A client of the app's own node. */
  const shared = ClientsModule.registerAsync([
    {
      name: 'GATES',
      inject: [LinkNode],
      useFactory: (node: LinkNode) => ({ customClass: GateClientProxy, options: { node } }),
    },
  ]);

  it('is made by register, and joins by itself', async () => {
    const bus = new MemoryBus();
    await clusterOn(bus);
    const options = { link: bus.link(), nodeId: 'office' };
    const app = await start([ClientsModule.register([{ name: 'GATES', customClass: GateClientProxy, options }])]);
    expect(linksOf(bus).has('office')).toBe(false);
    expect(await app.get(Office).count()).toBe(1);
    expect(linksOf(bus).has('office')).toBe(true);
    await app.close();
    expect(linksOf(bus).has('office')).toBe(false);
  });

  it('is made by registerAsync, and shares the node of its app', async () => {
    const bus = new MemoryBus();
    await clusterOn(bus);
    const app = await start([GatewayApiModule.forRoot({ link: bus.link(), nodeId: 'office' }), shared]);
    const { gates } = app.get(Office);
    expect(gates.unwrap()).toBe(app.get(LinkNode));
    expect(await app.get(Office).count()).toBe(1);
    expect(linksOf(bus).size).toBe(3);
    await gates.close();
    await expect(app.get(Office).count()).rejects.toMatchObject({ code: 'LINK_CLOSED' });
    expect(await app.get(GatewayApi).getAllClientCount()).toBe(1);
    await app.close();
    expect(linksOf(bus).size).toBe(2);
  });

  it('lives beside the handlers of a worker', async () => {
    const bus = new MemoryBus();
    await clusterOn(bus);
    const imports = [WorkerModule.forRoot({ link: bus.link() }), shared];
    const app = await startWorkerApp({ imports, providers: [Office] });
    opened.push(app);
    expect(await app.get(Office).count()).toBe(1);
  });

  it('is made by ClientProxyFactory', async () => {
    const bus = new MemoryBus();
    await clusterOn(bus);
    const gates = ClientProxyFactory.create({ customClass: GateClientProxy, options: { link: bus.link() } });
    opened.push(gates);
    expect(await lastValueFrom(gates.send<number>('clientCount', {}))).toBe(1);
  });

  it('lets its process end, after what it was asked for', async () => {
    const port = await freePort();
    const url = `tcp://127.0.0.1:${port}`;
    const cluster = await createTestCluster({ link: () => new TcpLink({ url, secret: 'shared' }) });
    opened.push(cluster);
    const client = await cluster.connect();
    const { PATH } = process.env;
    const job = spawn(process.execPath, ['--input-type=module', '-e', JOB], { env: { PATH, LINK: url } });
    let output = '';
    for (const stream of [job.stdout, job.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    let exit: number | string | null | undefined;
    job.once('close', (code, signal) => (exit = code ?? signal));
    try {
      await waitUntil('the process to end by itself', () => exit !== undefined, 15_000);
    } finally {
      job.kill('SIGKILL');
    }
    expect({ exit, output }).toEqual({ exit: 0, output: 'closed' });
    expect((await client.push('t/job')).body).toBe('done');
  });
});
