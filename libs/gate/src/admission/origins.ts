import { GateError } from '@nestgate/protocol';

/** An origin with a host, and nothing behind it. */
const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@\s]+)$/i;
const ENTRY = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#@\s]+)\/?$/i;
/** A host as browsers write it. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])$/i;
const WEB_SCHEMES: ReadonlySet<string> = new Set(['http', 'https']);
const WILDCARD = '*.';

/** Origins that pages may come from, beside the request's own host. */
export interface Origins {
  readonly all: boolean;
  /** Hosts of pages on the web, with a port that is not a default one. */
  readonly hosts: ReadonlySet<string>;
  /** What stands behind one label of a host, with its dot. */
  readonly suffixes: ReadonlySet<string>;
  /** Origins with other schemes, as they are sent. */
  readonly exact: ReadonlySet<string>;
}

/**
 * Origins as they can be compared: `host`, `host:port`, or a full origin. Of `http` and `https` the scheme, the default port,
 * case and a slash at the end make no difference, and `*.` stands for one label. Other schemes are compared as they are.
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
    // Any sandboxed page or file sends `Origin: null`.
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

/** A host as browsers write it: lower case, names of other scripts in ASCII. */
function normalHost(host: string): string | undefined {
  // A port that is the default one of the other scheme stays; it is taken off as it is of an origin.
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
