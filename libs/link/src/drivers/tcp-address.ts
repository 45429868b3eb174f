import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { GateError } from '@nestgate/protocol';

/** A host and port, as written in a URL. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** What a `tcp:` URL says: a gate listens on the first address; others dial all of them. */
export interface TcpUrl {
  readonly addresses: readonly HostPort[];
  /** Other gates, which a gate dials. */
  readonly peers: readonly HostPort[];
}

const HOST_PORT = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/;
const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** @throws {GateError} `BAD_ARGUMENT` for a URL that is not `tcp://host:port[,host:port…][?peers=host:port,…]`. */
export function parseTcpUrl(url: string): TcpUrl {
  const [, addresses = '', query = ''] = /^tcp:\/\/([^/?#]+)\/?(?:\?(.*))?$/.exec(url) ?? [];
  const peers = new URLSearchParams(query).get('peers') ?? '';
  return { addresses: parseList(url, addresses), peers: peers === '' ? [] : parseList(url, peers) };
}

function parseList(url: string, text: string): HostPort[] {
  return text.split(',').map(entry => {
    const [, six, host, port] = HOST_PORT.exec(entry) ?? [];
    const name = six ?? host;
    if (name === undefined || Number(port) > 65_535) {
      throw new GateError(
        'BAD_ARGUMENT',
        `link: ${JSON.stringify(url)} is not allowed; allowed: tcp://host:port[,host:port…][?peers=host:port,…]`,
      );
    }
    return { host: name, port: Number(port) };
  });
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/**
 * The addresses that a host name stands for now, as `address port` keys: a name with several of them is several nodes.
 * A name that cannot be looked up stands for nothing at the moment.
 */
export async function resolveAddresses(targets: readonly HostPort[]): Promise<Map<string, HostPort>> {
  const found = new Map<string, HostPort>();
  for (const { host, port } of targets) {
    const hosts = isIP(host) === 0 ? await lookupAll(host) : [host];
    for (const address of hosts) found.set(`${address} ${port}`, { host: address, port });
  }
  return found;
}

async function lookupAll(host: string): Promise<string[]> {
  try {
    const found = await lookup(host, { all: true });
    // `localhost` has two addresses, and a server usually listens on one of them: the IPv4 one is asked first.
    const addresses = found.map(({ address }) => address);
    return host === 'localhost' ? addresses.filter(address => address.startsWith('127.')) : addresses;
  } catch {
    return [];
  }
}
