import { isIP } from 'node:net';
import { GateError } from '@nestgate/protocol';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Range = readonly [network: Address, bits: number];

/** More hops than this are not followed. */
const MAX_HOPS = 16;
/** Bits of an IPv6 address that one customer of a provider has for itself, at least. */
const NETWORK_BITS = 64;
/** How far the IPv4 address is behind the start of an IPv6 address that stands for it. */
const MAPPED_BITS = 96;

/** How an IPv4 address that came over an IPv6 socket is written by the operating system. */
const MAPPED = '::ffff:';
/** The group of ones before such an address, however it is written. */
const ONES = /ffff/i;

/** Words for ranges, as Express has them for `trust proxy`. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** Stands for the other end of any Unix socket. */
const UNIX = 'unix';

/** Proxies whose `X-Forwarded-For` is believed. */
export interface Proxies {
  readonly ranges: readonly Range[];
  /** Whether what connects through a Unix socket is one. */
  readonly unix: boolean;
}

/**
 * Addresses, CIDR ranges and words as proxies that can be asked for with {@link isListed}.
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
  // The library reads octal and short forms too, which different programs understand differently.
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
 * The client's address: the socket's, unless that is a trusted proxy's. Then the last one in `X-Forwarded-For` that is not
 * one, because the client can forge everything before it. A port behind an address is left out. The peer of a Unix
 * socket has no address: it is `''`, or, when `unix` is trusted, what `X-Forwarded-For` says.
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
 * What a client is counted by: its address, and of IPv6 the network of 64 bits that it comes from. A client with one address there
 * has 2^64 of them, which would make a limit per address none.
 */
export function countedBy(address: string): string {
  if (isIP(address) !== 6) return address;
  const { parts } = parse(address) as ipaddr.IPv6;
  return `${parts
    .slice(0, NETWORK_BITS / 16)
    .map(part => part.toString(16))
    .join(':')}::/${NETWORK_BITS}`;
}

/** Whether an address is one of a proxy. */
export function isListed(address: string, { ranges }: Proxies): boolean {
  if (ranges.length === 0 || isIP(address) === 0) return false;
  const parsed = parse(plain(address));
  return ranges.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits));
}

/** An IPv4 address that came over an IPv6 socket, as it is written elsewhere. */
function plain(address: string): string {
  // Each connection comes here. What holds no group of ones stands for no IPv4 address, and need not be parsed.
  if (!address.includes(':')) return address;
  if (address.startsWith(MAPPED) && isIP(address.slice(MAPPED.length)) === 4) return address.slice(MAPPED.length);
  if (!ONES.test(address) || isIP(address) !== 6 || address.includes('%')) return address;
  const parsed = parse(address);
  return parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : address;
}

/** An address that {@link isIP} has found to be one. */
function parse(address: string): Address {
  // The zone is of this machine; and the library takes `::1.2.3.4` for `::ffff:1.2.3.4`, which it is not.
  return ipaddr.parse(address.replace(/%.*$/, '').replace(/^::(?=\d+\.)/, '0::'));
}

/** `1.2.3.4:5678` and `[2001:db8::1]:5678` (or without a port) as the address alone. */
function withoutPort(hop: string): string {
  const [, v6, v4] = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(hop) ?? [];
  return v6 !== undefined ? (isIP(v6) === 6 ? v6 : '') : (v4 ?? hop);
}
