import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { HandlersModule } from '@nestgate-app/handlers';
import { Gate, GateCounters, type GateModuleExtras, type GateOptions } from '@nestgate/gate';
import {
  BinaryClient,
  type BinaryClientOptions,
  createTestCluster,
  type TestCluster,
  waitUntil,
} from '@nestgate/testing';
import { OnTopic } from '@nestgate/worker';

/** How a binary client reaches a gate. */
export type Network = 'ws' | 'tcp';
export const NETWORKS: readonly Network[] = ['ws', 'tcp'];

/** Every byte value once. */
export const ALL_BYTES: Buffer = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Topics for what the example topics do not do with bodies. */
@Controller()
export class BodyTopics {
  /** Says what kind of body it has got: bytes, because the parameter is declared so. */
  @OnTopic('body/declared')
  declared(@Payload() body: Buffer): string {
    return `${Buffer.isBuffer(body) ? 'Buffer' : typeof body} of ${body?.length}`;
  }

  /** Gives back what JSON has become. */
  @OnTopic('body/parsed')
  parsed(@Payload() body: unknown): unknown {
    return { got: body === undefined ? 'nothing' : body };
  }

  @OnTopic('body/nothing')
  nothing(): void {}

  @OnTopic('body/null')
  null(): null {
    return null;
  }

  @OnTopic('body/bytes')
  bytes(): Buffer {
    return ALL_BYTES;
  }

  /** A body of so many bytes. */
  @OnTopic('body/large')
  large(@Payload() { bytes }: { bytes: number }): Buffer {
    return Buffer.alloc(bytes, 0x5a);
  }
}

/** A gate with the example topics, and binary clients of it. */
export class BinaryBench {
  private readonly clients: BinaryClient[] = [];
  readonly gate: Gate;
  readonly counters: GateCounters;

  private constructor(
    readonly cluster: TestCluster,
    private readonly options: GateOptions,
  ) {
    this.gate = cluster.gate.app.get(Gate);
    this.counters = cluster.gate.app.get(GateCounters);
  }

  /** Starts a gate with a TCP port; without `tcp` it takes packs there. */
  static async start(gate: GateOptions & GateModuleExtras = {}): Promise<BinaryBench> {
    const options = { tcp: { port: 0 }, messageRate: 0, ...gate };
    const handlers = { imports: [HandlersModule], controllers: [BodyTopics] };
    return new BinaryBench(await createTestCluster({ handlers, gate: options }), options);
  }

  get tcpPort(): number {
    return this.gate.tcpPort as number;
  }

  /** Connects a client, over TCP with the codec of the port. */
  async connect(network: Network, options: BinaryClientOptions = {}): Promise<BinaryClient> {
    const codec = options.codec ?? (this.options.tcp?.codec as BinaryClientOptions['codec']) ?? 'pack';
    const client =
      network === 'ws'
        ? await BinaryClient.overWs(this.cluster.gate.url, { ...options, codec })
        : await BinaryClient.overTcp(this.tcpPort, { ...options, codec });
    this.clients.push(client);
    return client;
  }

  /** Waits until the gate has forgotten all clients but so many. */
  async left(count: number): Promise<void> {
    await waitUntil(`${count} clients to be left`, () => this.gate.delegater.getAgentNum() === count);
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.destroy();
    await this.cluster.close();
  }
}

/** Waits until a client has received so many messages, and returns all of them. */
export async function received(client: BinaryClient, count: number): Promise<BinaryClient['messages']> {
  await waitUntil(`message ${count}`, () => {
    if (client.closedWith && client.messages.length < count) {
      throw new Error(`Closed with ${client.closedWith.code} after ${client.messages.length} of ${count} messages`);
    }
    return client.messages.length >= count;
  });
  return client.messages;
}
