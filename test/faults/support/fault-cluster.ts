import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, NatsProcess, waitUntil } from '@nestgate/testing';
import { Effects } from './effects.js';
import { LedgerClient } from './ledger-client.js';
import { NodeProcess } from './node-process.js';

/** How the nodes of a cluster find each other. */
export type LinkKind = 'tcp' | 'nats';
export const LINKS: readonly LinkKind[] = ['tcp', 'nats'];

/** What a cluster is made of. */
export interface FaultClusterOptions {
  readonly link: LinkKind;
  /** @defaultValue 2 */
  readonly gates?: number;
  /** @defaultValue 2 */
  readonly workers?: number;
  /** Without a broker: whether gates know each other, as they must where sessions move between them. */
  readonly meshed?: boolean;
  /** Options of the gates, beside those of `apps/gate`; or those of the gate with this number. */
  readonly gate?: object | ((index: number) => object);
  /** Where the gates keep users, as `NESTGATE_STORAGE`. @defaultValue 'memory:' */
  readonly storage?: string;
  /** How far the clock of each gate, and of each worker, is ahead, in milliseconds; without it none can be set. */
  readonly clocks?: { readonly gate: number; readonly worker: number };
  /** How long the `SendMessageHook` of the gates takes for each push, in milliseconds; they have none without it. */
  readonly sendHookMs?: number;
  /** How many files a gate can open. */
  readonly maxFiles?: number;
  /** The NATS server of each gate and of the workers, where the test has servers of its own. */
  readonly natsUrls?: { readonly gates: readonly string[]; readonly workers: string };
}

/** Whether the faults last as long as they should, or only as long as it takes to see their effect. */
export const isLong = process.env['NESTGATE_FAULTS'] === 'long';

let lastRun = 0;

/** Gates and workers in processes of their own, with a broker where the link needs one. */
export class FaultCluster {
  readonly gates: NodeProcess[] = [];
  readonly workers: NodeProcess[] = [];
  /** Tells the messages of one cluster from those of another. */
  readonly run = `${process.pid}-${++lastRun}`;
  private readonly clients: LedgerClient[] = [];
  private readonly folder = mkdtempSync(join(tmpdir(), 'nestgate-faults-'));
  private readonly effectFiles = new Map<string, string>();
  private readonly gateLinks: string[] = [];
  private lastNode = 0;

  private constructor(
    private readonly options: FaultClusterOptions,
    readonly nats: NatsProcess | undefined,
  ) {}

  /** A cluster whose nodes have their addresses, and of which only the broker runs. */
  static async prepare(options: FaultClusterOptions): Promise<FaultCluster> {
    const { link, gates = 2, natsUrls } = options;
    const ownsNats = link === 'nats' && !natsUrls;
    const cluster = new FaultCluster(options, ownsNats ? await NatsProcess.start() : undefined);
    for (let i = 0; i < gates; i++) {
      cluster.gateLinks.push(natsUrls?.gates[i] ?? cluster.nats?.url ?? `tcp://127.0.0.1:${await freePort()}`);
    }
    return cluster;
  }

  /** Starts everything; resolves when every gate can route to every worker. */
  static async start(options: FaultClusterOptions): Promise<FaultCluster> {
    const cluster = await FaultCluster.prepare(options);
    try {
      await cluster.startAll();
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  /** Starts all nodes; resolves when every gate can route to every worker. */
  async startAll(): Promise<void> {
    const { workers = 2 } = this.options;
    const starting = [
      ...this.gateLinks.map((_, index) => this.startGate(index)),
      ...Array.from({ length: workers }, () => this.startWorker()),
    ];
    await Promise.all(starting);
    await this.isWhole();
  }

  /** Starts the gate with this number, also in place of one that is over: on the ports of that one. */
  async startGate(index: number): Promise<NodeProcess> {
    const { gate: options = {}, storage, maxFiles } = this.options;
    const before = this.gates[index];
    const env = {
      FAULTS_PORT: before?.isOver ? String(before.port) : '0',
      NESTGATE_LINK: this.gateLink(index),
      NESTGATE_SECRET: 'shared',
      NESTGATE_MSG_RATE: '0',
      NESTGATE_MAX_PER_IP: '0',
      NESTGATE_STORAGE: storage,
      FAULTS_CLOCK_MS: this.options.clocks?.gate.toString(),
      FAULTS_SEND_HOOK_MS: this.options.sendHookMs?.toString(),
      FAULTS_GATE: JSON.stringify(typeof options === 'function' ? options(index) : options),
    };
    const gate = await NodeProcess.start('gate', `gate-${++this.lastNode}`, env, maxFiles);
    this.gates[index] = gate;
    return gate;
  }

  /** Starts one more worker. `link` stands for the gates, where they are not to be reached directly. */
  async startWorker(link = this.workerLink): Promise<NodeProcess> {
    const id = `worker-${++this.lastNode}`;
    const file = join(this.folder, id);
    const worker = await NodeProcess.start('worker', id, {
      NESTGATE_LINK: link,
      NESTGATE_SECRET: 'shared',
      FAULTS_EFFECTS: file,
      FAULTS_CLOCK_MS: this.options.clocks?.worker.toString(),
    });
    this.effectFiles.set(id, file);
    this.workers.push(worker);
    return worker;
  }

  /** The address of a gate, with those of the others where it knows them. */
  private gateLink(index: number): string {
    const own = this.gateLinks[index] as string;
    const { link, meshed = false } = this.options;
    if (link !== 'tcp' || !meshed) return own;
    const others = this.gateLinks.filter((_, other) => other !== index);
    return `${own}?peers=${others.map(url => url.replace('tcp://', '')).join(',')}`;
  }

  /** What the gates are called, whichever process is in their place. */
  get gateNames(): string[] {
    return this.gateLinks.map((_, index) => `gate ${index}`);
  }

  /** Where the gates listen for workers, without a broker. */
  get linkPorts(): number[] {
    return this.gateLinks.map(url => Number(new URL(url).port));
  }

  /** The addresses of the gates, as a worker gets them. */
  get workerLink(): string {
    return (
      this.options.natsUrls?.workers ??
      this.nats?.url ??
      `tcp://${this.gateLinks.map(url => url.replace('tcp://', '')).join(',')}`
    );
  }

  /** Waits until every gate knows every worker, and every worker every gate. */
  async isWhole(timeoutMs = 30_000): Promise<void> {
    const alive = (nodes: NodeProcess[]) => nodes.filter(node => !node.isOver);
    await waitUntil(
      'all nodes to know each other',
      async () => {
        const [gates, workers] = [alive(this.gates), alive(this.workers)];
        const know = async (nodes: NodeProcess[], others: NodeProcess[]) => {
          const states = await Promise.all(nodes.map(node => node.state()));
          return states.every(({ peers }) => others.every(({ id }) => peers.includes(id)));
        };
        return (await know(gates, workers)) && (await know(workers, gates));
      },
      timeoutMs,
    );
  }

  /** Waits until no gate knows a node any more. */
  async isWithout({ id }: NodeProcess, timeoutMs = 30_000): Promise<void> {
    await waitUntil(
      `${id} to be forgotten`,
      async () => {
        const states = await Promise.all(this.gates.filter(gate => !gate.isOver).map(gate => gate.state()));
        return states.every(({ peers }) => !peers.includes(id));
      },
      timeoutMs,
    );
  }

  /** Connects clients to a gate. Their names are unique in the cluster. */
  async connect(gate: number, count: number): Promise<LedgerClient[]> {
    const { port } = this.gates[gate] as NodeProcess;
    const clients: LedgerClient[] = [];
    for (let i = 0; i < count; i++) {
      const client = await LedgerClient.connect(port, this.run, `client-${this.clients.length}`);
      this.clients.push(client);
      clients.push(client);
    }
    return clients;
  }

  /** What handlers have done so far. */
  effects(): Effects {
    return Effects.read(this.effectFiles);
  }

  /** Ends what a test has started. */
  async end(): Promise<void> {
    for (const client of this.clients) client.end();
    await Promise.all([...this.gates, ...this.workers].map(node => node.end()));
    await this.nats?.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
