import { GateError } from '@nestgate/protocol';

/** The query keys that name files. */
export const FILE_KEYS = ['creds', 'nkey', 'ca', 'cert', 'key'] as const;
export type FileKey = (typeof FILE_KEYS)[number];

/** What a `nats:` URL says. */
export interface NatsUrl {
  /** `host:port` of each server. */
  readonly servers: readonly string[];
  /** The IP addresses among the hosts, to be found in the servers' certificates. */
  readonly addresses: readonly string[];
  /** Whether only an encrypted connection will do: for `tls:`, and where files for TLS are named. */
  readonly secure: boolean;
  readonly namespace?: string;
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  readonly files: { readonly [K in FileKey]?: string };
}

const DEFAULT_PORT = '4222';
const KEYS: readonly string[] = ['namespace', ...FILE_KEYS];
const ALLOWED = `nats://[user:password@|token@]host[:port][,host[:port]…][?${KEYS.map(key => `${key}=…`).join('&')}], or tls://…`;
const URL_PARTS = /^(nats|tls):\/\/([^/?#]*)\/?(?:\?([^#]*))?$/;
const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]@%]+))(?::(\d{1,5}))?$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;

/**
 * Reads a URL. What it holds of secrets is in no error: neither the URL nor any part of what stands for a host is repeated.
 * @throws {GateError} `BAD_ARGUMENT` for what is not such a URL, with what is allowed.
 */
export function parseNatsUrl(url: string): NatsUrl {
  // Servers may be listed with the scheme before each, as NATS itself writes them.
  const [, scheme, list = '', query = ''] = URL_PARTS.exec(url.replaceAll(/,(?:nats|tls):\/\//g, ',')) ?? [];
  if (scheme === undefined) throw refusal('it is malformed');
  const credentials = new Set<string>();
  const servers: string[] = [];
  const addresses: string[] = [];
  for (const entry of list.split(',')) {
    const at = entry.lastIndexOf('@');
    if (at >= 0) credentials.add(entry.slice(0, at));
    const [, six, name, port = DEFAULT_PORT] = HOST_PORT.exec(entry.slice(at + 1)) ?? [];
    const host = six ?? name;
    if (host === undefined || Number(port) > 65_535 || Number(port) === 0) {
      throw refusal(
        'a host or port is malformed (in a password, write @ : , / ? # and % as %40 %3A %2C %2F %3F %23 %25)',
      );
    }
    if (six !== undefined || IPV4.test(host)) addresses.push(host);
    servers.push(six === undefined ? `${host}:${port}` : `[${six}]:${port}`);
  }
  const { namespace, ...files } = readQuery(query);
  if (credentials.size > 1) throw refusal('all servers take the same credentials');
  const identity = readIdentity([...credentials][0]);
  const ways = [identity.user ?? identity.token, files.creds, files.nkey].filter(way => way !== undefined);
  if (ways.length > 1) throw refusal('credentials are one of user:password@, token@, creds and nkey');
  if ((files.cert === undefined) !== (files.key === undefined)) throw refusal('cert and key need each other');
  const secure = scheme === 'tls' || files.ca !== undefined || files.cert !== undefined;
  return { servers, addresses, secure, namespace, ...identity, files };
}

function readQuery(query: string): { readonly [K in FileKey | 'namespace']?: string } {
  const found: Record<string, string> = {};
  for (const [key, value] of new URLSearchParams(query)) {
    if (!KEYS.includes(key)) {
      // What follows a `?` may also be the rest of a password that was not encoded.
      const isKey = /^\w{1,32}$/.test(key) && !query.includes('@');
      throw refusal(isKey ? `it does not know the key ${key}` : 'a key is malformed');
    }
    if (value === '' || Object.hasOwn(found, key)) throw refusal(`${key} needs one value`);
    found[key] = value;
  }
  return found;
}

function readIdentity(text: string | undefined): Pick<NatsUrl, 'user' | 'pass' | 'token'> {
  if (text === undefined) return {};
  const [first = '', ...rest] = text.split(':');
  try {
    if (rest.length === 0) return { token: decodeURIComponent(first) };
    return { user: decodeURIComponent(first), pass: decodeURIComponent(rest.join(':')) };
  } catch {
    throw refusal('the credentials are not percent-encoded');
  }
}

function refusal(why: string): GateError {
  return new GateError('BAD_ARGUMENT', `link: the NATS URL is not allowed: ${why}; allowed: ${ALLOWED}`);
}
