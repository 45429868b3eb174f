import { type AddressInfo, isIPv6, type Server } from 'node:net';
import type { BoundedLog } from '@nestgate/worker/internal';
import type { SocketFastPath } from '@nestgate/link/internal';

const LOOPBACK = /^(127\.|::1$|localhost$)/;
/** Values of `NODE_ENV` with which only developers use the gate. */
const DEVELOPMENT: ReadonlySet<string | undefined> = new Set(['development', 'test']);

/**
 * Warns at the start of a port without encryption that other machines can reach. Logs nothing for loopback addresses, or when
 * `NODE_ENV` is `development` or `test`. `remedy` is the option that turns encryption on.
 */
export function warnOfPlaintext(
  log: Pick<BoundedLog, 'warn'>,
  what: string,
  host: string,
  isTls: boolean,
  remedy: string,
): void {
  if (isTls || LOOPBACK.test(host) || DEVELOPMENT.has(process.env['NODE_ENV'])) return;
  log.warn(
    `${what} on ${host} is not encrypted: set ${remedy}, or make it reachable only for a proxy that terminates TLS`,
  );
}

/** Where a server listens: `host:port`, or the path of a Unix socket. */
export function addressText(address: AddressInfo | string | null): string {
  if (typeof address === 'string') return address;
  if (!address) return 'nowhere';
  return isIPv6(address.address) ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

/** Warns when a private part of this version of Node is not as expected, and names the consequence for the sockets of the server. */
export function warnOfNode(log: Pick<BoundedLog, 'warn'>, fastPath: SocketFastPath, server: Server): void {
  const fault = fastPath.fault(server);
  if (fault === undefined) return;
  log.warn(
    `Node ${process.version} is not as expected inside. ${fault}: sockets are read and written through their streams, which is slower`,
  );
}
