import { type AddressInfo, isIPv6 } from 'node:net';
import type { BoundedLog } from '@nestgate/worker';

const LOOPBACK = /^(127\.|::1$|localhost$)/;
/** Values of `NODE_ENV` under which nobody but developers uses the gate. */
const DEVELOPMENT: ReadonlySet<string | undefined> = new Set(['development', 'test']);

/**
 * What goes over a network unencrypted can be read and changed on the way; somebody should know at start. Nothing is said of what only
 * this machine can reach, or while NODE_ENV is `development` or `test`. `remedy` is the option that encrypts.
 */
export function warnOfPlaintext(
  log: Pick<BoundedLog, 'warn'>,
  what: string,
  host: string,
  isTls: boolean,
  remedy: string,
): void {
  if (isTls || LOOPBACK.test(host) || DEVELOPMENT.has(process.env['NODE_ENV'])) return;
  log.warn(`${what} on ${host} is not encrypted: set ${remedy}, or let only a proxy that speaks TLS reach it`);
}

/** Where a server listens: `host:port`, or the path of a Unix socket. */
export function addressText(address: AddressInfo | string | null): string {
  if (typeof address === 'string') return address;
  if (!address) return 'nowhere';
  return isIPv6(address.address) ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
