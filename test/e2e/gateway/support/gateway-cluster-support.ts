import type { INestApplication, INestApplicationContext, INestMicroservice, ModuleMetadata } from '@nestjs/common';
import { Delegater, GateModule, type GateOptions, StorageHandler } from '@nestgate/gate';
import { type Link, LinkNode, MemoryBus } from '@nestgate/link';
import { FakeClient, type ReceivedFrame, waitUntil } from '@nestgate/testing';
import { GatewayApi, GatewayApiModule, type NodeOptions, WorkerModule } from '@nestgate/worker';
import type { LinkSupply } from '../../support/links.js';
import { portOf, startApp, startWorkerApp } from '../../../support/start-app.js';

type Role = 'gate' | 'worker' | 'api';
type LinkFor = (role: Role, index: number) => Link;

/** What a cluster is made of, beside its gates and its one worker. */
export interface GatewayClusterOptions {
  /** Gates. @defaultValue 3 */
  readonly gates?: number;
  readonly handlers?: Pick<ModuleMetadata, 'controllers' | 'providers' | 'imports'>;
  readonly gate?: GateOptions;
  readonly worker?: Omit<NodeOptions, 'link'>;
  /** Wraps the link of each node. */
  readonly wrap?: (link: Link, role: Role, index: number) => Link;
}

/** A client whose pushes are read in their order, up to a mark. */
export class PushClient {
  private taken = 0;
  private onFrame: (() => void) | undefined;

  private constructor(readonly fake: FakeClient) {
    fake.socket.on('message', () => this.onFrame?.());
    this.taken = fake.frames.length;
  }

  static async connect(url: string): Promise<PushClient> {
    return new PushClient(await FakeClient.connect(url));
  }

  get clientId(): string {
    return this.fake.clientId;
  }

  /** What has come since the last call, without the mark `topic`, `body` that it waits for. */
  async until(topic: string, body: unknown): Promise<ReceivedFrame[]> {
    const end = await this.when(
      `${topic} ${JSON.stringify(body)}`,
      frame => frame.topic === topic && frame.body === body,
    );
    return this.take(end).slice(0, -1);
  }

  /** What has come since the last call. */
  rest(): ReceivedFrame[] {
    return this.take(this.fake.frames.length);
  }

  private take(end: number): ReceivedFrame[] {
    const frames = this.fake.frames.slice(this.taken, end);
    this.taken = end;
    return frames;
  }

  /** How many frames there are when one that matches has come; told by the socket, not by looking again and again. */
  private when(what: string, matches: (frame: ReceivedFrame) => boolean): Promise<number> {
    const { frames } = this.fake;
    let at = this.taken;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => finish(() => reject(new Error(`${this.clientId} has not got ${what}`))), 10_000);
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.onFrame = undefined;
        settle();
      };
      this.onFrame = () => {
        for (; at < frames.length; at++) {
          if (!matches(frames[at] as ReceivedFrame)) continue;
          const end = at + 1;
          finish(() => resolve(end));
          return;
        }
      };
      this.onFrame();
    });
  }
}

/** A gate that can be started again under its id. */
export interface RunningGate {
  readonly id: string;
  readonly app: INestApplication;
  readonly node: LinkNode;
  readonly delegater: Delegater;
  readonly url: string;
}

/** Nothing outlives a connection: what is stored of users is tested elsewhere. */
class NoStorage extends StorageHandler {
  query(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  storage(): Promise<void> {
    return Promise.resolve();
  }

  delete(): Promise<void> {
    return Promise.resolve();
  }

  heartbeat(): Promise<void> {
    return Promise.resolve();
  }
}

/** Gates with ids of their own and one worker, all in this process, over any link. */
export class GatewayCluster {
  readonly gates: RunningGate[] = [];
  private readonly others: (INestApplication | INestMicroservice | INestApplicationContext)[] = [];
  private readonly clients = new Set<PushClient>();
  private workerApp!: INestMicroservice;

  private constructor(
    private readonly linkFor: LinkFor,
    private readonly options: GatewayClusterOptions,
  ) {}

  static async open(links: LinkSupply, options: GatewayClusterOptions = {}): Promise<GatewayCluster> {
    const { gates = 3, wrap = link => link } = options;
    const bus = new MemoryBus();
    const supply = (await links.forCluster(gates)) ?? (() => bus.link());
    const cluster = new GatewayCluster((role, index) => wrap(supply(role, index), role, index), options);
    for (let index = 0; index < gates; index++) await cluster.startGate(index);
    await cluster.startWorker();
    return cluster;
  }

  get worker(): INestMicroservice {
    return this.workerApp;
  }

  get api(): GatewayApi {
    return this.workerApp.get(GatewayApi);
  }

  get workerNode(): LinkNode {
    return this.workerApp.get(LinkNode);
  }

  async connect(gate: number): Promise<PushClient> {
    const client = await PushClient.connect((this.gates[gate] as RunningGate).url);
    this.clients.add(client);
    void client.fake.closed.then(() => this.clients.delete(client));
    return client;
  }

  /** Closes a gate, and starts it again with the same id; resolves when the worker has met the new one. */
  async restartGate(index: number): Promise<void> {
    await (this.gates[index] as RunningGate).app.close();
    await this.startGate(index);
    await this.met(this.workerNode);
  }

  /** An app of its own that only pushes and asks. It is closed with the cluster. */
  async startService(metadata: Pick<ModuleMetadata, 'controllers' | 'providers'> = {}): Promise<INestApplication> {
    const imports = [GatewayApiModule.forRoot({ link: this.linkFor('api', 0) })];
    return startApp({ ...metadata, imports }, { prepare: app => this.others.push(app) });
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.fake.socket.terminate();
    for (const app of this.others) await app.close();
    await this.workerApp.close();
    for (const { app } of this.gates) await app.close();
  }

  /** Waits until a node knows the gates as they are now. */
  async met(node: LinkNode): Promise<void> {
    await waitUntil(
      'the node to know all gates',
      () => this.gates.every(gate => node.peers.get(gate.id)?.info.epoch === gate.node.info.epoch),
      15_000,
    );
  }

  private async startGate(index: number): Promise<void> {
    const id = `gate-${index}`;
    const options = { ...this.options.gate, link: this.linkFor('gate', index), nodeId: id };
    const providers = [{ provide: StorageHandler, useClass: NoStorage }];
    const app = await startApp({ imports: [GateModule.forRoot({ ...options, providers })] }, { handles: true });
    const url = `ws://127.0.0.1:${portOf(app)}/gate`;
    this.gates[index] = { id, app, node: app.get(LinkNode), delegater: app.get(Delegater), url };
  }

  private async startWorker(): Promise<void> {
    const { handlers = {}, worker } = this.options;
    this.workerApp = await startWorkerApp({
      ...handlers,
      imports: [...(handlers.imports ?? []), WorkerModule.forRoot({ ...worker, link: this.linkFor('worker', 0) })],
    });
    await this.met(this.workerNode);
    for (const { node } of this.gates) {
      await waitUntil('the gates to know the worker', () => node.peers.has(this.workerNode.info.id));
    }
  }
}
