import { isIP } from 'node:net';
import { GateError } from '@nestgate/protocol';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = readonly [network: Address, bits: number];

/** Maximum number of hops that are followed. */
const MAX_HOPS = 16;
/** The network part of an IPv6 address, in bits. Providers give each customer at least one such network. */
const NETWORK_BITS = 64;
/** The offset of the IPv4 address in an IPv4-mapped IPv6 address, in bits. */
const MAPPED_BITS = 96;

/** The prefix with which the operating system writes IPv4 addresses on an IPv6 socket. */
const MAPPED = '::ffff:';
/** Any spelling of an IPv4-mapped address contains this group. */
const ONES = /ffff/i;

/** Names of ranges, the same as for `trust proxy` of Express. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** Means the peer of any Unix socket. */
const UNIX = 'unix';

/** Trusted proxies: their `X-Forwarded-For` is used. */
export interface Proxies {
  readonly ranges: readonly Range[];
  /** Whether peers of Unix sockets are trusted proxies. */
  readonly unix: boolean;
}

/**
 * Compiles addresses, CIDR ranges and names for {@link isListed}.
 * @throws {GateError} `BAD_ARGUMENT` for an entry that is none of these.
 */
export function compileProxies(entries: readonly string[]): Proxies {
  const ranges: Range[] = [];
  for (const entry of entries) {
    if (entry === UNIX) continue;
    for (const part of (Object.hasOwn(WORDS, entry) && WORDS[entry]) || [entry]) {
      const range = rangeOf(part);
      if (range) ranges.push(range);
      else refuseEntry(entry);
    }
  }
  return { ranges, unix: entries.includes(UNIX) };
}

function refuseEntry(entry: unknown): never {
  throw new GateError(
    'BAD_ARGUMENT',
    `Option trustedProxies: ${JSON.stringify(entry)} is not allowed; allowed: addresses, CIDR ranges, ` +
      `${Object.keys(WORDS).join(', ')}, ${UNIX}`,
  );
}

function rangeOf(text: unknown): Range | undefined {
  if (typeof text !== 'string') return undefined;
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  // The library also accepts octal and short forms, which programs interpret differently.
  const family = isIP(address);
  if (family === 0) return undefined;
  const network = parse(address);
  const all = family === 6 ? 128 : 32;
  const bits = prefix === undefined ? all : Number(prefix);
  if (bits > all) return undefined;
  return network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && bits >= MAPPED_BITS
    ? [network.toIPv4Address(), bits - MAPPED_BITS]
    : [network, bits];
}

/**
 * The address of the client. Without a trusted proxy it is the address of the socket. Otherwise it is the last address in
 * `X-Forwarded-For` that is not a trusted proxy, because the client can forge all earlier ones. A port is removed. The peer of a Unix
 * socket has no address: the result is `''`, or, if `unix` is trusted, the address in `X-Forwarded-For`.
 */
export function clientAddress(
  socketAddress: string | undefined,
  forwardedFor: string | undefined,
  proxies: Proxies,
): string {
  let address = plain(socketAddress ?? '');
  const hops = forwardedFor?.split(',').slice(-MAX_HOPS) ?? [];
  while (address === '' ? proxies.unix : isListed(address, proxies)) {
    const hop = withoutPort(hops.pop()?.trim() ?? '');
    if (isIP(hop) === 0) break;
    address = plain(hop);
  }
  return address;
}

/**
 * The key by which limits count a client: its IPv4 address, or its IPv6 network of 64 bits. A client in such a network can use 2^64
 * addresses, so that a limit per IPv6 address would have no effect.
 */
export function countedBy(address: string): string {
  if (isIP(address) !== 6) return address;
  const { parts } = parse(address) as ipaddr.IPv6;
  return `${parts
    .slice(0, NETWORK_BITS / 16)
    .map(part => part.toString(16))
    .join(':')}::/${NETWORK_BITS}`;
}

/** Whether an address is in the list. */
export function isListed(address: string, { ranges }: Proxies): boolean {
  if (ranges.length === 0 || isIP(address) === 0) return false;
  const parsed = parse(plain(address));
  return ranges.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits));
}

/** Converts an IPv4-mapped IPv6 address to IPv4. */
function plain(address: string): string {
  // Runs for each connection: most addresses are not IPv4-mapped and need no parsing.
  if (!address.includes(':')) return address;
  if (address.startsWith(MAPPED) && isIP(address.slice(MAPPED.length)) === 4) return address.slice(MAPPED.length);
  if (!ONES.test(address) || isIP(address) !== 6 || address.includes('%')) return address;
  const parsed = parse(address);
  return parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : address;
}

/** Parses an address that {@link isIP} accepts. */
function parse(address: string): Address {
  // A zone has a meaning only on this machine. The library would also treat `::1.2.3.4` as `::ffff:1.2.3.4`, which is another address.
  return ipaddr.parse(address.replace(/%.*$/, '').replace(/^::(?=\d+\.)/, '0::'));
}

/** Removes the port of `1.2.3.4:5678` or `[2001:db8::1]:5678`, and the brackets. */
function withoutPort(hop: string): string {
  const [, v6, v4] = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(hop) ?? [];
  return v6 !== undefined ? (isIP(v6) === 6 ? v6 : '') : (v4 ?? hop);
}
