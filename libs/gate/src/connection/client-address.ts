import { BlockList, isIP } from 'node:net';
import { GateError } from '@nestgate/protocol';

const IPV6_GROUPS = 8;
/** More hops than this are not followed. */
const MAX_HOPS = 16;

/**
 * Addresses and CIDR ranges as a list that can be asked.
 * @throws {GateError} `BAD_ARGUMENT` for an entry that is neither.
 */
export function compileProxies(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    try {
      if (isIP(address) === 0) throw new Error('not an address');
      if (prefix === undefined) list.addAddress(address, family);
      else list.addSubnet(address, Number(prefix), family);
    } catch {
      throw new GateError(
        'BAD_ARGUMENT',
        `Option trustedProxies: ${JSON.stringify(entry)} is not allowed; allowed: addresses and CIDR ranges`,
      );
    }
  }
  return list;
}

/**
 * The client's address: the socket's, unless that is a trusted proxy's. Then the last one in `X-Forwarded-For` that is not
 * one, because everything before it is only what somebody claims.
 */
export function clientAddress(
  socketAddress: string | undefined,
  forwardedFor: string | undefined,
  trusted: BlockList,
): string {
  let address = plain(socketAddress ?? '');
  const hops = forwardedFor?.split(',').slice(-MAX_HOPS) ?? [];
  while (isListed(address, trusted)) {
    const hop = plain(hops.pop()?.trim() ?? '');
    if (isIP(hop) === 0) break;
    address = hop;
  }
  return address;
}

/**
 * What a client is counted by: its address, and of IPv6 the network of 64 bits that it comes from. Whoever has one address there
 * has 2^64 of them, which would make a limit per address none.
 */
export function countedBy(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail = ''] = address.replace(/%.*$/, '').toLowerCase().split('::');
  const groups = groupsOf(head);
  if (address.includes('::')) {
    const rest = groupsOf(tail);
    while (groups.length + rest.length < IPV6_GROUPS) groups.push('0');
    groups.push(...rest);
  }
  const network = groups.slice(0, IPV6_GROUPS / 2).map(group => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}

/** An IPv4 address at the end stands for two groups. */
function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':').flatMap(group => (group.includes('.') ? ['0', '0'] : group));
}

/** Whether an address is in a list of addresses and ranges. */
export function isListed(address: string, trusted: BlockList): boolean {
  const family = isIP(address);
  return family !== 0 && trusted.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** An IPv4 address that came over an IPv6 socket, as it is written elsewhere. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}
