import type { Logger } from '@nestjs/common';

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** What goes over a network unencrypted can be read and changed on the way; somebody should know at start. */
export function warnOfPlaintext(logger: Logger, what: string, host: string, isTls: boolean): void {
  if (isTls || LOOPBACK.test(host)) return;
  logger.warn(`${what} on ${host} is not encrypted: set tls, or let only a proxy that speaks TLS reach it`);
}
