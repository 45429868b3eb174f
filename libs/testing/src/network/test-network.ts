import { connect as connectPlain, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { ClientOptions } from 'ws';
import { type DelayedRelay, startDelayedRelay } from './delayed-relay.js';

/** How long a relay outlives its client, in milliseconds: what the client has sent before it ended is still on its way. */
const LINGER_MS = 250;

/**
 * Whether clients of tests reach their gates over a network with 20 ms each way and 64 KiB of buffer, instead of directly: the
 * variable `NESTGATE_TEST_NETWORK` is `delayed`. Anything else that it may be is an error.
 */
export function isNetworkDelayed(): boolean {
  const network = process.env['NESTGATE_TEST_NETWORK'] || 'loopback';
  if (network !== 'loopback' && network !== 'delayed') {
    throw new Error(`NESTGATE_TEST_NETWORK=${network} is not allowed; allowed: loopback, delayed`);
  }
  return network === 'delayed';
}

/**
 * Dials a port of this machine over the network that the tests run on. Each connection has a relay of its own, which is closed a
 * moment after it. `dial` is given the port to connect to.
 */
export async function dialTestNetwork<S extends Socket>(port: number, dial: (port: number) => S): Promise<S> {
  if (!isNetworkDelayed()) return dial(port);
  const relay = await startDelayedRelay({ target: { host: '127.0.0.1', port } });
  const socket = dial(relay.port);
  closeAfter(socket, relay);
  return socket;
}

/**
 * Options for a WebSocket to `url` over the network that the tests run on. URL and `Host` header stay as they are. A client that
 * says itself from which address or by which agent it connects does so directly.
 */
export async function testNetworkOptions(url: string, options: ClientOptions): Promise<ClientOptions> {
  const { localAddress, agent, createConnection } = options;
  if (!isNetworkDelayed() || localAddress || agent || createConnection) return options;
  const { protocol, port, hostname } = new URL(url);
  const isSecure = protocol === 'wss:' || protocol === 'https:';
  const target = { host: hostname, port: Number(port || (isSecure ? 443 : 80)) };
  const relay = await startDelayedRelay({ target });
  const dial = (asked: TcpNetConnectOpts & ConnectionOptions): Socket => {
    const to = { ...asked, host: '127.0.0.1', port: relay.port, path: undefined };
    const servername = asked.servername ?? (isIP(hostname) ? '' : hostname);
    const socket = isSecure ? connectTls({ ...to, servername }) : connectPlain(to);
    closeAfter(socket, relay);
    return socket;
  };
  return { ...options, createConnection: dial as NonNullable<ClientOptions['createConnection']> };
}

function closeAfter(socket: Socket, relay: DelayedRelay): void {
  socket.once('close', () => setTimeout(() => void relay.close(), LINGER_MS));
}
