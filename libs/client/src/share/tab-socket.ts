import type { WebSocketConstructor, WebSocketLike } from '../connection/socket.js';
import type { TabMessage } from './tabs-host.js';

/** The sockets of a tab, which lead to the hub of its origin. */
export interface TabSockets {
  /** The class for the option `WebSocket` of the tab's client. */
  readonly WebSocket: WebSocketConstructor;
  /** Handles a message of the channel. */
  receive(message: TabMessage): void;
}

/** `join` is called before each socket; `post` sends to the channel once the tab has joined. */
export function createTabSockets(tab: string, join: () => void, post: (message: TabMessage) => void): TabSockets {
  let current: TabSocket | undefined;
  let count = 0;

  class TabSocket implements WebSocketLike {
    binaryType = '';
    readonly bufferedAmount = 0;
    protocol = '';
    onopen: WebSocketLike['onopen'] = null;
    onmessage: WebSocketLike['onmessage'] = null;
    onclose: WebSocketLike['onclose'] = null;
    onerror: WebSocketLike['onerror'] = null;
    readonly number = ++count;

    constructor() {
      // oxlint-disable-next-line typescript/no-this-alias -- the newest socket is the only one that counts
      current = this;
      join();
      this.open();
    }

    /** A hub that starts later, or whose connection is not online, accepts it then. */
    open(): void {
      post({ tab, socket: this.number, open: true });
    }

    send(data: string | Uint8Array): void {
      if (current === this) post({ tab, socket: this.number, data: data as string });
    }

    close(): void {
      if (current !== this) return;
      current = undefined;
      post({ tab, socket: this.number, close: true });
    }

    lose(code: number, reason: string): void {
      current = undefined;
      this.onclose?.({ code, reason } as never);
    }
  }

  return {
    WebSocket: TabSocket,
    receive(message) {
      const socket = current;
      if (!socket) return;
      if ('hub' in message) {
        // The hub that had accepted it is gone.
        if (socket.protocol) socket.lose(1001, 'Another tab has taken over the connection');
        else socket.open();
      } else if ('to' in message && message.to === tab && message.socket === socket.number) {
        if ('accept' in message) {
          if (socket.protocol) return;
          socket.protocol = message.accept;
          socket.onopen?.({} as never);
        } else if ('frame' in message) socket.onmessage?.({ data: message.frame } as never);
        else socket.lose(message.code, message.reason);
      }
    },
  };
}
