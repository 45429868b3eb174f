import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** Whether an address is one of this host only. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/^::ffff:/, '');
  return plain === 'localhost' || plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/**
 * Whether a request comes from a program on this host: by both addresses of its connection, and without what a proxy adds. A page of another
 * site has another `Origin`, or a name of its own in `Host`.
 */
export function isLocal({ socket, headers }: IncomingMessage): boolean {
  if (!isLoopback(socket.remoteAddress) || !isLoopback(socket.localAddress)) return false;
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) return false;
  if (headers.origin !== undefined && !isOriginOf(headers.origin, headers.host)) return false;
  return isLoopback(headers.host?.replace(/:\d+$/, ''));
}

/** Whether an `Origin` is that of a page of this host and port. */
export function isOriginOf(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}

/** Whether the arguments of `listen` name loopback, or a path in the file system. */
export function isListeningLocally([first, second]: readonly unknown[], adapter: string): boolean {
  if (typeof first === 'object' && first !== null) {
    const { host, path } = first as { readonly host?: unknown; readonly path?: unknown };
    if (typeof path === 'string') return true;
    return host === undefined ? adapter === 'fastify' : typeof host === 'string' && isLoopback(host);
  }
  if (typeof first === 'string' && Number.isNaN(Number(first))) return true;
  // Without a host Fastify listens on localhost, and Node on every address.
  return typeof second === 'string' ? isLoopback(second) : adapter === 'fastify';
}

/**
 * Permits requests of programs on the same host only, whatever address the app listens on: not those that a proxy has forwarded, and not
 * those of pages of other sites.
 */
@Injectable()
export class LoopbackGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<IncomingMessage & { readonly raw?: IncomingMessage }>();
    return isLocal(request.raw ?? request);
  }
}
