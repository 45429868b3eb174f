import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const MAX_RECORD_BYTES = 64 * 1024;

/** Stands between a node and a port of this machine, so that a test can break what is between them. */
export class TcpRelay {
  private readonly sockets = new Set<Socket>();
  private isHolding = false;
  /** Connections that have come so far. */
  connections = 0;
  /** The first that went to the port, up to a good deal. */
  record: Buffer = Buffer.alloc(0);

  private constructor(
    private readonly server: Server,
    private target: number,
  ) {
    server.on('connection', near => this.join(near));
  }

  static async start(target: number): Promise<TcpRelay> {
    const server = createServer();
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return new TcpRelay(server, target);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Breaks all connections; new ones are served. */
  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Leads new connections to another port. */
  redirect(target: number): void {
    this.target = target;
  }

  /** Hands on nothing any more, in either direction, and says nothing of it: a cable that was pulled. */
  hold(): void {
    this.isHolding = true;
    for (const socket of this.sockets) socket.pause();
  }

  /** Ends {@link hold}: new connections are served again, and those of before are broken. */
  release(): void {
    this.isHolding = false;
    this.cut();
  }

  /** Breaks all connections, and takes no more. */
  async end(): Promise<void> {
    const closed = new Promise<void>(resolve => this.server.close(() => resolve()));
    this.cut();
    await closed;
  }

  private join(near: Socket): void {
    this.connections++;
    const far = connect(this.target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => from.destroy());
      from.on('data', chunk => {
        if (from === near && this.record.length < MAX_RECORD_BYTES) this.record = Buffer.concat([this.record, chunk]);
        if (to.write(chunk)) return;
        from.pause();
        to.once('drain', () => {
          if (!this.isHolding) from.resume();
        });
      });
      from.on('end', () => to.end());
      from.on('close', () => {
        this.sockets.delete(from);
        if (!this.isHolding) to.destroy();
      });
      if (this.isHolding) from.pause();
    }
  }
}
