import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** The TCP connections that this process dials from now on. What other tests have left in the process does not count. */
export class DialledSockets {
  private readonly sockets: Socket[] = [];
  private readonly note = (message: unknown): void => {
    this.sockets.push((message as { readonly socket: Socket }).socket);
  };

  constructor() {
    subscribe('net.client.socket', this.note);
  }

  /** How many of them are open, or about to be. Listeners would not do: libraries remove them all. */
  get open(): number {
    return this.sockets.filter(({ closed }) => !closed).length;
  }

  /** Notes no more of them. */
  stop(): void {
    unsubscribe('net.client.socket', this.note);
  }
}
