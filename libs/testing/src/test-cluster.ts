import type { AddressInfo } from 'node:net';
import type { INestApplication, INestMicroservice, LoggerService, LogLevel, ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { Gate, GateModule, type GateModuleExtras, type GateOptions } from '@nestgate/gate';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { assertKnownOptions, kindOf, optionKeys, present } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { GatewayApi, GateTransport, LINK, WorkerModule } from '@nestgate/worker';
import { createLink } from '@nestgate/worker/internal';
import { FakeClient, type FakeClientOptions } from './clients/fake-client.js';
import { waitUntil } from './wait-until.js';

/** A module of an app: a class, or what a `forRoot` returns. */
export type TestModule = NonNullable<ModuleMetadata['imports']>[number];

/** What a test cluster is made of. */
export interface TestClusterOptions {
  /** Gate apps. @defaultValue 1 */
  readonly gates?: number | undefined;
  /** Worker apps; without any, the gates host the handlers. @defaultValue 0 */
  readonly workers?: number | undefined;
  /** Controllers, providers and imports of the apps that host handlers. */
  readonly handlers?: Pick<ModuleMetadata, 'controllers' | 'providers' | 'imports'> | undefined;
  /** Options of the gates; `currentClient` is one of the workers too. They belong to your own module when there is a `gateModule`. */
  readonly gate?: (GateOptions & GateModuleExtras) | undefined;
  /**
   * Your own module of gate apps, which imports `GateModule` itself. Its link is replaced by the cluster's.
   *
   * ```ts
   * await createTestCluster({ gateModule: AppModule });
   * ```
   */
  readonly gateModule?: TestModule | undefined;
  /** Your own module of worker apps, which imports `WorkerModule` itself. Its link is replaced by the cluster's. */
  readonly workerModule?: TestModule | undefined;
  /**
   * Called with the builder of each app before it is compiled: replaces providers, guards, pipes and modules.
   *
   * ```ts
   * await createTestCluster({
   *   gateModule: AppModule,
   *   override: builder => builder.overrideProvider(Mailer).useValue(fakeMailer),
   * });
   * ```
   */
  readonly override?: ((builder: TestingModuleBuilder, role: 'gate' | 'worker', index: number) => unknown) | undefined;
  /** The logger of the apps, or the levels that are logged. @defaultValue false */
  readonly logger?: LoggerService | LogLevel[] | false | undefined;
  /** A link for each node; nodes of one process meet on a bus unless given. */
  readonly link?: ((role: 'gate' | 'worker', index: number) => string | Link) | undefined;
  /** Called with each app before it starts: global pipes and the like. */
  readonly setup?: ((app: INestApplication | INestMicroservice) => void) | undefined;
}

const KEYS = optionKeys<TestClusterOptions>({
  gates: true,
  workers: true,
  handlers: true,
  gate: true,
  gateModule: true,
  workerModule: true,
  override: true,
  logger: true,
  link: true,
  setup: true,
});
const HANDLER_KEYS = optionKeys<NonNullable<TestClusterOptions['handlers']>>({
  controllers: true,
  providers: true,
  imports: true,
});
const NAME = 'createTestCluster';
/** Apps of one kind in a cluster. */
const MAX_APPS = 100;

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
    return present(this.gates[0]);
  }

  /** The `GatewayApi` of the first gate. */
  get api(): GatewayApi {
    return this.gate.api;
  }

  /** Connects a client, to the first gate unless told otherwise. It is closed with the cluster. */
  async connect(
    options: FakeClientOptions & { readonly gate?: number | undefined; readonly path?: string | undefined } = {},
  ): Promise<FakeClient> {
    const { gate = 0, path = '', ...rest } = options;
    const client = await FakeClient.connect(present(this.gates[gate]).url + path, rest);
    this.clients.push(client);
    return client;
  }

  /** Stops everything: clients, gates, workers. All of it, also when an app fails to close; then it rejects with that error. */
  async close(): Promise<void> {
    for (const client of this.clients) client.socket.terminate();
    await closeAll([...this.gates, ...this.workers].map(({ app }) => app));
  }
}

/**
 * Starts gates and workers in this process; resolves when every gate can route to every worker. When an app cannot be started, the
 * others are closed before it rejects.
 * @throws {GateError} `BAD_ARGUMENT` for unknown options, and for values that cannot be.
 */
export async function createTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const start = new ClusterStart(options);
  try {
    return await start.run();
  } catch (error) {
    // The error of the start says more than one that follows from it.
    await closeAll(start.apps).catch(() => undefined);
    throw error;
  }
}

/** The start of a cluster, with the apps that it has made so far. */
class ClusterStart {
  readonly apps: (INestApplication | INestMicroservice)[] = [];
  private readonly bus = new MemoryBus();

  constructor(private readonly options: TestClusterOptions) {
    checkOptions(options);
    if (options.gateModule && options.gate) {
      throw new TypeError('gate: options of the gate belong to the GateModule that gateModule imports');
    }
    if (options.workerModule && !options.workers) throw new TypeError('workerModule: needs workers: 1 or more');
  }

  async run(): Promise<TestCluster> {
    const gates: TestGate[] = [];
    const workers: TestWorker[] = [];
    for (let index = 0; index < (this.options.gates ?? 1); index++) gates.push(await this.startGate(index));
    for (let index = 0; index < (this.options.workers ?? 0); index++) workers.push(await this.startWorker(index));
    if (workers.length > 0) await knowEachOther(gates, workers);
    return new TestCluster(gates, workers);
  }

  private async startGate(index: number): Promise<TestGate> {
    const { workers = 0, gate = {}, gateModule, setup } = this.options;
    const link = this.linkOf('gate', index);
    const module = await this.compile(
      'gate',
      index,
      workers === 0,
      // The gates wait for the workers below, and not for their clients.
      gateModule ?? GateModule.forRoot({ startupWait: 0, ...gate, link }),
      gateModule && link,
    );
    const app = module.createNestApplication(this.logging);
    this.apps.push(app);
    setup?.(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    const { path } = app.get(Gate).options.ws;
    return { app, api: app.get(GatewayApi), port, url: `ws://127.0.0.1:${port}${path}` };
  }

  private async startWorker(index: number): Promise<TestWorker> {
    const { gate, workerModule, setup } = this.options;
    const link = this.linkOf('worker', index);
    const own = workerModule ?? WorkerModule.forRoot({ link, currentClient: gate?.currentClient });
    const module = await this.compile('worker', index, true, own, workerModule && link);
    const app = module.createNestMicroservice({ strategy: module.get(GateTransport), ...this.logging });
    this.apps.push(app);
    setup?.(app);
    await app.listen();
    return { app, api: app.get(GatewayApi) };
  }

  /** `link` replaces the one of a module of the test's own. */
  private async compile(
    role: 'gate' | 'worker',
    index: number,
    isHost: boolean,
    module: TestModule,
    link: string | Link | undefined,
  ) {
    const { handlers, override } = this.options;
    const { imports = [], ...hosted } = (isHost && handlers) || {};
    const builder = Test.createTestingModule({ ...hosted, imports: [...imports, module] });
    if (link !== undefined) builder.overrideProvider(LINK).useFactory({ factory: () => createLink({ link }) });
    const { logger } = this.options;
    if (logger && !Array.isArray(logger)) builder.setLogger(logger);
    override?.(builder, role, index);
    return builder.compile();
  }

  private linkOf(role: 'gate' | 'worker', index: number): string | Link {
    return this.options.link?.(role, index) ?? this.bus.link();
  }

  private get logging(): Pick<TestClusterOptions, 'logger'> {
    return { logger: this.options.logger ?? false };
  }
}

function checkOptions(options: TestClusterOptions): void {
  assertKnownOptions(NAME, options, KEYS);
  const { gates = 1, workers = 0, handlers, logger } = options;
  if (handlers !== undefined) assertKnownOptions(NAME, handlers, HANDLER_KEYS, 'handlers.');
  for (const key of ['controllers', 'providers', 'imports'] as const) {
    const list: unknown = handlers?.[key];
    if (list !== undefined && !Array.isArray(list)) refuse(`handlers.${key}`, 'an array', list);
  }
  if (!isCount(gates, 1)) refuse('gates', `an integer from 1 to ${MAX_APPS}`, gates);
  if (!isCount(workers, 0)) refuse('workers', `an integer from 0 to ${MAX_APPS}`, workers);
  for (const key of ['override', 'link', 'setup'] as const) {
    if (options[key] !== undefined && typeof options[key] !== 'function') refuse(key, 'a function', options[key]);
  }
  if ((logger as unknown) === true || logger === null || !['object', 'boolean', 'undefined'].includes(typeof logger)) {
    refuse('logger', 'a LoggerService, an array of log levels, or false', logger);
  }
}

function isCount(value: number, least: number): boolean {
  return Number.isInteger(value) && value >= least && value <= MAX_APPS;
}

function refuse(key: string, allowed: string, value: unknown): never {
  const given = typeof value === 'number' ? String(value) : kindOf(value);
  throw new GateError('BAD_ARGUMENT', `${NAME}: option ${key} must be ${allowed}, but ${given} was given`);
}

async function knowEachOther(gates: readonly TestGate[], workers: readonly TestWorker[]): Promise<void> {
  for (const { app } of gates) {
    // With their modules: over a link a worker may be known before it has said what it serves.
    await waitUntil('the gates to know the workers', () => {
      const { peers } = app.get(LinkNode);
      return workers.every(worker => {
        const { id, modules } = worker.app.get(LinkNode).info;
        return peers.get(id)?.info.modules.length === modules.length;
      });
    });
  }
}

/** Closes all apps, one after the other. Rejects with the first error when all have been tried. */
async function closeAll(apps: readonly (INestApplication | INestMicroservice)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const app of apps) await app.close().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}
