import { GateError } from '@nestgate/protocol';

/** An origin: a scheme and a host, without a path. */
const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@\s]+)$/i;
const ENTRY = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#@\s]+)\/?$/i;
/** A host in the form that browsers send. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])$/i;
const WEB_SCHEMES: ReadonlySet<string> = new Set(['http', 'https']);
const WILDCARD = '*.';

/** Allowed origins of pages, in addition to the host of the request. */
export interface Origins {
  readonly all: boolean;
  /** Hosts of `http` and `https` origins, with the port unless it is the default one. */
  readonly hosts: ReadonlySet<string>;
  /** The part of a wildcard host after the first label, starting with the dot. */
  readonly suffixes: ReadonlySet<string>;
  /** Origins with other schemes, unchanged. */
  readonly exact: ReadonlySet<string>;
}

/**
 * Compiles allowed origins: `host`, `host:port`, or a full origin. For `http` and `https` the scheme, the default port, upper or lower
 * case and a trailing slash are ignored, and `*.` matches one label. Origins with other schemes are compared unchanged.
 * @throws {GateError} `BAD_ARGUMENT` for an entry that no origin can match.
 */
export function compileOrigins(entries: '*' | readonly string[]): Origins {
  const hosts = new Set<string>();
  const suffixes = new Set<string>();
  const exact = new Set<string>();
  for (const entry of entries === '*' ? [] : entries) {
    const [, scheme, host = ''] = ENTRY.exec(entry) ?? [];
    if (scheme !== undefined && !WEB_SCHEMES.has(scheme.toLowerCase())) {
      if (host === '' || host.includes('*')) refuseEntry(entry);
      exact.add(entry.replace(/\/$/, ''));
      continue;
    }
    const isWild = host.startsWith(WILDCARD);
    const known = normalHost(isWild ? host.slice(WILDCARD.length) : host);
    // Every sandboxed page and every local file sends `Origin: null`.
    if (known === undefined || (scheme === undefined && known === 'null')) refuseEntry(entry);
    if (isWild) suffixes.add(`.${known}`);
    else hosts.add(known);
  }
  return { all: entries === '*', hosts, suffixes, exact };
}

/** Whether a page of this origin may connect to this host. */
export function allowsOrigin({ all, hosts, suffixes, exact }: Origins, origin: string, ownHost: string): boolean {
  if (all) return true;
  const [, scheme = '', sent = ''] = ORIGIN.exec(origin) ?? [];
  if (!WEB_SCHEMES.has(scheme.toLowerCase())) return exact.has(origin);
  const host = withoutDefaultPort(sent);
  if (host === withoutDefaultPort(ownHost) || hosts.has(host)) return true;
  const label = host.indexOf('.');
  return label > 0 && suffixes.has(host.slice(label));
}

function refuseEntry(entry: string): never {
  throw new GateError(
    'BAD_ARGUMENT',
    `Option ws.origins: ${JSON.stringify(entry)} is not allowed; allowed: host, host:port, an origin such as ` +
      `https://app.example.com, one label as wildcard (https://*.example.com), or '*' instead of the list`,
  );
}

/** Converts a host to the form of browsers: lower case, international names in ASCII. */
function normalHost(host: string): string | undefined {
  // The port is split off first, because `URL` would remove only port 80. `withoutDefaultPort` treats it as the port of an origin.
  const [, name = '', port = ''] = /^(.*?[^:])((?::\d{1,5})?)$/.exec(host) ?? [];
  try {
    const { hostname } = new URL(`http://${name}`);
    if (port !== '' && Number(port.slice(1)) > 65_535) return undefined;
    return HOST.test(hostname) ? withoutDefaultPort(hostname + port) : undefined;
  } catch {
    return undefined;
  }
}

function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(80|443)$/, '');
}
