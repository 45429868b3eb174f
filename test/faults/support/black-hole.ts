import { TcpProxy } from './tcp-proxy.js';

/** A proxy that, once told so, hands on nothing more and says nothing of it: no data, no end, no reset. */
export class BlackHole {
  /** When it has last handed on something towards the gate, in milliseconds of `Date.now()`. */
  lastAt = 0;
  private isOpen = true;
  private proxy!: TcpProxy;

  static async start(target: number): Promise<BlackHole> {
    const hole = new BlackHole();
    hole.proxy = await TcpProxy.start(target, (near, far) => {
      near.on('data', chunk => {
        if (!hole.isOpen) return;
        hole.lastAt = Date.now();
        far.write(chunk);
      });
      far.on('data', chunk => hole.isOpen && near.write(chunk));
    });
    return hole;
  }

  get port(): number {
    return this.proxy.port;
  }

  swallow(): void {
    this.isOpen = false;
  }

  end(): Promise<void> {
    return this.proxy.end();
  }
}
