import { assertKnownOptions, optionKeys, present } from '@nestgate/link/internal';
import { startDelayedRelay, type DelayedRelay } from '../network/delayed-relay.js';
import { freePort } from './free-port.js';
import { NatsProcess } from './nats-process.js';
import { waitUntil } from '../wait-until.js';

/** What a {@link NatsCluster} is made of. */
export interface NatsClusterOptions {
  /** @defaultValue 3 */
  readonly servers?: number | undefined;
  /** How long bytes take on the route between the first two servers, in each direction, in milliseconds. @defaultValue 0 */
  readonly slowRouteMs?: number | undefined;
}

const KEYS = optionKeys<NatsClusterOptions>({ servers: true, slowRouteMs: true });

/** Servers of a test's own that form a cluster, each on free ports of this machine. */
export class NatsCluster {
  private constructor(
    readonly servers: readonly NatsProcess[],
    private readonly relay: DelayedRelay | undefined,
  ) {}

  /** Starts the servers; resolves when each is connected to all others. */
  static async start(options: NatsClusterOptions = {}): Promise<NatsCluster> {
    assertKnownOptions('NatsCluster', options, KEYS);
    const { servers: count = 3, slowRouteMs = 0 } = options;
    const routePorts = await Promise.all(Array.from({ length: count }, () => freePort()));
    const first = { host: '127.0.0.1', port: present(routePorts[0]) };
    const relay = slowRouteMs > 0 ? await startDelayedRelay({ target: first, delayMs: slowRouteMs }) : undefined;
    const servers: NatsProcess[] = [];
    const cluster = new NatsCluster(servers, relay);
    try {
      for (const [index, port] of routePorts.entries()) {
        // Each server dials those before it. Route gossip is not used: the route between the first two is slow.
        const dialled = routePorts
          .slice(0, index)
          .map((other, to) => (index === 1 && to === 0 && relay ? relay.port : other));
        const routes = dialled.map(other => `nats://127.0.0.1:${other}`).join(', ');
        const advertise = index === 0 && relay ? `advertise: "127.0.0.1:${relay.port}"` : '';
        const config = `server_name: s${index + 1}
ping_interval: "2s"
cluster {
  name: test
  listen: "127.0.0.1:${port}"
  no_advertise: true
  routes: [${routes}]
  ${advertise}
}`;
        servers.push(await NatsProcess.start({ config }));
      }
      await cluster.isWhole();
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  /** The URL of one server. */
  url(index: number): string {
    return present(this.servers[index]).url;
  }

  /** Waits until what is published through any server is heard through all others. */
  async isWhole(): Promise<void> {
    // An optional peer: most who test with this package have no NATS.
    const { connect } = await import('@nats-io/transport-node');
    const clients = await Promise.all(this.servers.map(({ url }) => connect({ servers: url, noEcho: false })));
    try {
      const heard = clients.map(() => new Set<string>());
      for (const [index, client] of clients.entries()) {
        client.subscribe('test.whole', { callback: (_, msg) => void heard[index]?.add(msg.string()) });
      }
      await waitUntil('the servers to know each other', async () => {
        for (const [index, client] of clients.entries()) client.publish('test.whole', String(index));
        await Promise.all(clients.map(client => client.flush()));
        return heard.every(set => set.size === clients.length);
      });
    } finally {
      await Promise.all(clients.map(client => client.close()));
    }
  }

  /** Ends all servers. */
  async end(): Promise<void> {
    await Promise.all(this.servers.map(server => server.end()));
    await this.relay?.close();
  }
}
