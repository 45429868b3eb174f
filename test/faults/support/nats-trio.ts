import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort, NatsProcess, waitUntil } from '@nestgate/testing';

/** Servers of a cluster. */
const SIZE = 3;

/** Three NATS servers that form a cluster. Clients of one learn the addresses of the others, and go there when it is gone. */
export class NatsTrio {
  private constructor(readonly servers: readonly NatsProcess[]) {}

  /** Starts the servers; resolves when each tells its clients of all three. */
  static async start(): Promise<NatsTrio> {
    const ports: number[] = [];
    for (let i = 0; i < 2 * SIZE; i++) ports.push(await freePort());
    const routes = ports.slice(SIZE);
    const servers = routes.map((route, index) =>
      NatsProcess.prepare(ports[index] as number, {
        // Sent away one after another, from a second after the signal on: as few as clients here are, within seconds.
        config: `
          server_name: "server-${index}"
          lame_duck_grace_period: "1s"
          lame_duck_duration: "30s"
          cluster {
            name: "trio"
            listen: "127.0.0.1:${route}"
            routes: [${routes.map(port => `"nats://127.0.0.1:${port}"`).join(', ')}]
          }`,
      }),
    );
    const trio = new NatsTrio(servers);
    try {
      await Promise.all(servers.map(server => server.restart()));
      for (const server of servers) {
        await waitUntil(`server ${server.port} to know the others`, async () => {
          const { connect_urls: urls = [] } = await greetingOf(server.port);
          return urls.length === SIZE;
        });
      }
      return trio;
    } catch (error) {
      await trio.end();
      throw error;
    }
  }

  /** The server with this number. */
  server(index: number): NatsProcess {
    return this.servers[index] as NatsProcess;
  }

  async end(): Promise<void> {
    await Promise.all(this.servers.map(server => server.end()));
  }
}

/** What a server says of itself to who connects. */
async function greetingOf(port: number): Promise<{ readonly connect_urls?: readonly string[] }> {
  const socket = connect(port, '127.0.0.1');
  try {
    const [data] = (await once(socket, 'data')) as [Buffer];
    return JSON.parse(data.toString('utf8').replace(/^INFO /, '')) as { connect_urls?: string[] };
  } finally {
    socket.destroy();
  }
}
