import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What a proxy does with one connection: both sockets are there, and nothing flows between them yet. */
export type Wiring = (near: Socket, far: Socket, index: number) => void;

/** A proxy on a free port of this machine, in front of a listening port. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private connections = 0;

  private constructor(
    private readonly server: Server,
    private readonly target: number,
    private readonly wire: Wiring,
  ) {
    server.on('connection', near => this.join(near));
  }

  /** Starts a proxy for the port `target`; `wire` is called with each connection, the first one with the index 0. */
  static async start(target: number, wire: Wiring): Promise<TcpProxy> {
    const server = createServer({ pauseOnConnect: true });
    const proxy = new TcpProxy(server, target, wire);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async end(): Promise<void> {
    const closed = new Promise(resolve => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private join(near: Socket): void {
    const far = connect(this.target, '127.0.0.1');
    const index = this.connections++;
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        // What has been handed on already still arrives.
        other.destroySoon();
      });
    }
    this.wire(near, far, index);
    near.resume();
  }
}

/** Hands on everything that comes, and the end of it. */
export function pass(from: Socket, to: Socket): void {
  from.on('data', chunk => to.write(chunk));
  from.on('end', () => to.end());
}
