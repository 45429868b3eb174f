import type { BoundedLog } from '@nestgate/worker';

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** What goes over a network unencrypted can be read and changed on the way; somebody should know at start. */
export function warnOfPlaintext(log: Pick<BoundedLog, 'warn'>, what: string, host: string, isTls: boolean): void {
  if (isTls || LOOPBACK.test(host)) return;
  log.warn(`${what} on ${host} is not encrypted: set tls, or let only a proxy that speaks TLS reach it`);
}
