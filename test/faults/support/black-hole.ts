import { TcpProxy } from './tcp-proxy.js';

/** A proxy that, once told so, hands on nothing more and says nothing of it: no data, and no reset. */
export class BlackHole {
  /** When it has last handed on something towards the gate, in milliseconds of `Date.now()`. */
  lastAt = 0;
  private isOpen = true;
  /** Connections of before, and of the time when nothing was handed on, stay dead. */
  private generation = 0;
  private proxy!: TcpProxy;

  static async start(target: number): Promise<BlackHole> {
    const hole = new BlackHole();
    hole.proxy = await TcpProxy.start(target, (near, far) => {
      const { generation } = hole;
      const isAlive = (): boolean => hole.isOpen && generation === hole.generation;
      near.on('data', chunk => {
        if (!isAlive()) return;
        hole.lastAt = Date.now();
        far.write(chunk);
      });
      far.on('data', chunk => isAlive() && near.write(chunk));
    });
    return hole;
  }

  get port(): number {
    return this.proxy.port;
  }

  swallow(): void {
    this.isOpen = false;
  }

  /** Hands on what comes by new connections. */
  restore(): void {
    this.generation++;
    this.isOpen = true;
  }

  end(): Promise<void> {
    return this.proxy.end();
  }
}
