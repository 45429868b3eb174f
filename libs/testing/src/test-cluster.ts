import type { AddressInfo } from 'node:net';
import type { INestApplication, INestMicroservice, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { GateModule, type GateModuleExtras, type GateOptions } from '@nestgate/gate';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { GatewayApi, GateTransport, WorkerModule } from '@nestgate/worker';
import { FakeClient, type FakeClientOptions } from './fake-client.js';
import { waitUntil } from './wait-until.js';

/** What a test cluster is made of. */
export interface TestClusterOptions {
  /** Gate apps. @defaultValue 1 */
  readonly gates?: number;
  /** Worker apps; without any, the gates host the handlers. @defaultValue 0 */
  readonly workers?: number;
  /** Controllers, providers and imports of the apps that host handlers. */
  readonly handlers?: Pick<ModuleMetadata, 'controllers' | 'providers' | 'imports'>;
  /** Options of the gates. */
  readonly gate?: GateOptions & GateModuleExtras;
  /** A link for each node; nodes of one process meet on a bus unless given. */
  readonly link?: (role: 'gate' | 'worker', index: number) => string | Link;
  /** Called with each app before it starts: global pipes and the like. */
  readonly setup?: (app: INestApplication | INestMicroservice) => void;
}

/** A gate app of a test cluster. */
export interface TestGate {
  readonly app: INestApplication;
  readonly api: GatewayApi;
  readonly port: number;
  /** The WebSocket endpoint. */
  readonly url: string;
}

/** A worker app of a test cluster. */
export interface TestWorker {
  readonly app: INestMicroservice;
  readonly api: GatewayApi;
}

/** Nest apps in this process that form a cluster, with real sockets for their clients. */
export class TestCluster {
  private readonly clients: FakeClient[] = [];

  constructor(
    readonly gates: readonly TestGate[],
    readonly workers: readonly TestWorker[],
  ) {}

  /** The first gate. */
  get gate(): TestGate {
    return this.gates[0] as TestGate;
  }

  /** The `GatewayApi` of the first gate. */
  get api(): GatewayApi {
    return this.gate.api;
  }

  /** Connects a client, to the first gate unless told otherwise. It is closed with the cluster. */
  async connect(
    options: FakeClientOptions & { readonly gate?: number; readonly path?: string } = {},
  ): Promise<FakeClient> {
    const { gate = 0, path = '', ...rest } = options;
    const client = await FakeClient.connect((this.gates[gate] as TestGate).url + path, rest);
    this.clients.push(client);
    return client;
  }

  /** Stops everything: clients, gates, workers. */
  async close(): Promise<void> {
    for (const client of this.clients) client.socket.terminate();
    for (const { app } of this.gates) await app.close();
    for (const { app } of this.workers) await app.close();
  }
}

/** Starts gates and workers in this process; resolves when every gate can route to every worker. */
export async function createTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { gates: gateCount = 1, workers: workerCount = 0, handlers = {}, gate: gateOptions = {}, setup } = options;
  const bus = new MemoryBus();
  const link = options.link ?? (() => bus.link());
  const workers: TestWorker[] = [];
  const gates: TestGate[] = [];
  for (let index = 0; index < gateCount; index++) {
    const hosted = workerCount === 0 ? handlers : {};
    const module = await Test.createTestingModule({
      ...hosted,
      // The gates wait for the workers below, and not for their clients.
      imports: [
        ...(hosted.imports ?? []),
        GateModule.forRoot({ startupWait: 0, ...gateOptions, link: link('gate', index) }),
      ],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    setup?.(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    gates.push({
      app,
      api: app.get(GatewayApi),
      port,
      url: `ws://127.0.0.1:${port}${gateOptions.ws?.path ?? '/gate'}`,
    });
  }
  for (let index = 0; index < workerCount; index++) {
    const module = await Test.createTestingModule({
      ...handlers,
      imports: [...(handlers.imports ?? []), WorkerModule.forRoot({ link: link('worker', index) })],
    }).compile();
    const app = module.createNestMicroservice({ strategy: module.get(GateTransport), logger: false });
    setup?.(app);
    await app.listen();
    workers.push({ app, api: app.get(GatewayApi) });
  }
  for (const { app } of workerCount > 0 ? gates : []) {
    // With their modules: over a link a worker may be known before it has said what it serves.
    await waitUntil('the gates to know the workers', () => {
      const { peers } = app.get(LinkNode);
      return workers.every(worker => {
        const { id, modules } = worker.app.get(LinkNode).info;
        return peers.get(id)?.info.modules.length === modules.length;
      });
    });
  }
  return new TestCluster(gates, workers);
}
