import { once } from 'node:events';
import { type AddressInfo, connect as dial, createServer, type Server } from 'node:net';

/** Leads each connection to the next of the gates that are ready. */
export class Balancer {
  readonly ready = new Set<number>();
  private next = 0;

  private constructor(private readonly server: Server) {
    server.on('connection', near => {
      const ports = [...this.ready];
      const far = dial(ports[this.next++ % ports.length] as number, '127.0.0.1');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.pipe(to);
      }
    });
  }

  static async start(): Promise<Balancer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Balancer(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/gate`;
  }

  close(): void {
    this.server.close();
  }
}
