import { isIP, isIPv6 } from 'node:net';
import { GateError, urlForLog } from '@nestgate/protocol';

/** A host and port, as written in a URL. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Mutual TLS between nodes: each side shows its certificate, and takes only one that the same authority has signed. A
 * certificate that limits its use must allow both, a server's and a client's.
 */
export interface TcpTlsOptions {
  /** PEM file of this node's certificate, and of those between it and the authority. */
  readonly certFile: string;
  /** PEM file of its key. */
  readonly keyFile: string;
  /** PEM file of the authority, or of several: an authority that signs nodes, and nothing else. */
  readonly caFile: string;
  /**
   * Whether a gate's certificate must be for the host name or address by which it is dialled, as written in the URL. Off,
   * any node of the authority may be at an address: gates that are dialled by changing addresses have no other way.
   * @defaultValue false
   */
  readonly checkHost?: boolean | undefined;
}

/** What a `tcp:` URL says: a gate listens on the first address; others dial all of them. */
export interface TcpUrl {
  readonly addresses: readonly HostPort[];
  /** Other gates, which a gate dials. */
  readonly peers: readonly HostPort[];
  readonly tls: TcpTlsOptions | undefined;
}

const HOST_PORT = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/;
const FORM =
  'tcp://host:port[,host:port…][?peers=host:port,…][&cert=file&key=file&ca=file[&checkHost=true]], ' +
  'where a file name is percent-encoded';
const KEYS: readonly string[] = ['peers', 'cert', 'key', 'ca', 'checkHost'];

/** @throws {GateError} `BAD_ARGUMENT` for a URL that is not of the form that the error names. */
export function parseTcpUrl(url: string): TcpUrl {
  const [, addresses = '', query = ''] = /^tcp:\/\/([^/?#]+)\/?(?:\?(.*))?$/.exec(url) ?? [];
  const values = parseQuery(url, query);
  const peers = values.get('peers') ?? '';
  return {
    addresses: parseList(url, addresses),
    peers: peers === '' ? [] : parseList(url, peers),
    tls: parseTls(url, values),
  };
}

/** An address as URLs have it. */
export function nameOf({ host, port }: HostPort): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return isLocalhost(host) || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/**
 * The address that a name without any server behind it stands for: `localhost` often has two, and a listener has one of
 * them only.
 */
export function addressOf(host: string): string {
  return isLocalhost(host) ? '127.0.0.1' : host;
}

function isLocalhost(host: string): boolean {
  return host.toLowerCase() === 'localhost';
}

function parseList(url: string, text: string): HostPort[] {
  return text.split(',').map(entry => {
    const [, six, host, port] = HOST_PORT.exec(entry) ?? [];
    const name = six ?? host;
    if (name === undefined || Number(port) > 65_535) throw notAllowed(url);
    return { host: name, port: Number(port) };
  });
}

/** Not the decoding of forms, in which a `+` of a file name would be a space. */
function parseQuery(url: string, query: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const pair of query === '' ? [] : query.split('&')) {
    const [, key = pair, value = ''] = /^([^=]*)=(.*)$/.exec(pair) ?? [];
    if (!KEYS.includes(key) || values.has(key)) {
      const what = values.has(key) ? 'stands twice in' : 'is not allowed in';
      throw new GateError(
        'BAD_ARGUMENT',
        `link: ${JSON.stringify(key)} ${what} ${JSON.stringify(urlForLog(url))}; allowed: ${KEYS.join(', ')}`,
      );
    }
    try {
      values.set(key, decodeURIComponent(value));
    } catch {
      throw notAllowed(url);
    }
  }
  return values;
}

function parseTls(url: string, values: ReadonlyMap<string, string>): TcpTlsOptions | undefined {
  const [, ...keys] = KEYS;
  if (!keys.some(key => values.has(key))) return undefined;
  const [certFile, keyFile, caFile] = ['cert', 'key', 'ca'].map(key => {
    const file = values.get(key);
    if (file) return file;
    throw new GateError(
      'BAD_ARGUMENT',
      `link: ${JSON.stringify(urlForLog(url))} needs a file for ${key}; TLS takes cert, key and ca`,
    );
  }) as [string, string, string];
  const checkHost = values.get('checkHost') ?? 'false';
  if (checkHost !== 'true' && checkHost !== 'false') throw notAllowed(url);
  return { certFile, keyFile, caFile, checkHost: checkHost === 'true' };
}

function notAllowed(url: string): GateError {
  return new GateError('BAD_ARGUMENT', `link: ${JSON.stringify(urlForLog(url))} is not allowed; allowed: ${FORM}`);
}
