import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Stands before a TCP port, and lets through only so many bytes per second, until it is told to hurry. */
export class SlowProxy {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private bytesPerSecond: number,
  ) {}

  static async start(target: number, bytesPerSecond: number): Promise<SlowProxy> {
    const server = createServer();
    const proxy = new SlowProxy(server, bytesPerSecond);
    server.on('connection', socket => {
      const upstream = connect(target, '127.0.0.1');
      proxy.relay(socket, upstream);
      proxy.relay(upstream, socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** No limit from now on. */
  hurry(): void {
    this.bytesPerSecond = Number.POSITIVE_INFINITY;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private relay(from: Socket, to: Socket): void {
    this.sockets.add(from);
    from.on('error', () => from.destroy());
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
    from.on('data', chunk => {
      to.write(chunk);
      const pauseMs = (chunk.length / this.bytesPerSecond) * 1_000;
      if (pauseMs < 1) return;
      from.pause();
      setTimeout(() => from.resume(), pauseMs);
    });
  }
}
