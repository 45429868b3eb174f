import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** The TCP connections that this process dials from now on. What other tests have left in the process does not count. */
export class DialledSockets {
  private readonly sockets = new Set<Socket>();
  private readonly note = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  };

  constructor() {
    subscribe('net.client.socket', this.note);
  }

  /** How many of them are open, or about to be. */
  get open(): number {
    return this.sockets.size;
  }

  /** Notes no more of them. */
  stop(): void {
    unsubscribe('net.client.socket', this.note);
  }
}
