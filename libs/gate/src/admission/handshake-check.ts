import type { IncomingMessage } from 'node:http';
import { logText } from '@nestgate/protocol';
import type { Refusal } from './admission.js';
import { allowsOrigin, type Origins } from './origins.js';

/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** The start of a request target that names the host too, as a proxy is sent it (RFC 9112, 3.2.2). */
const AUTHORITY = /^https?:\/\/([^/?#]*)/i;

const WRONG_VERSION: Refusal = {
  status: 426,
  message: 'Sec-WebSocket-Version must be 13',
  headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
};

function malformed(message: string): Refusal {
  return { status: 400, message };
}

/** Whether a request is a WebSocket upgrade as RFC 6455 wants it. */
export function checkUpgrade(request: IncomingMessage): Refusal | undefined {
  const { method, headers, httpVersionMajor, httpVersionMinor, rawHeaders } = request;
  if (httpVersionMajor !== 1 || httpVersionMinor < 1) return malformed('The version must be HTTP/1.1');
  // Node keeps only the first Host; two of them would let the Origin be compared with one and the proxy route by another.
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) if (isHost(rawHeaders[at] as string)) hosts++;
  if (hosts !== 1) return malformed('There must be one Host');
  if (method !== 'GET') return malformed('The method must be GET');
  // Node hands on what follows the head as the first bytes of the new protocol, a body as well.
  const { upgrade, 'content-length': length } = headers;
  if (headers['transfer-encoding'] !== undefined || (length !== undefined && !/^0*$/.test(length))) {
    return malformed('An upgrade has no body');
  }
  if (upgrade !== 'websocket' && upgrade?.toLowerCase() !== 'websocket') return malformed('Upgrade must be websocket');
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) return malformed('Sec-WebSocket-Key is missing or malformed');
  if (headers['sec-websocket-version'] !== '13') return WRONG_VERSION;
  return undefined;
}

/** Each handshake comes here with all its headers: a copy in lower case is made of few of them. */
function isHost(name: string): boolean {
  return name === 'Host' || (name.length === 4 && name.toLowerCase() === 'host');
}

/** The target of a request as path and query: of one that names the host too, without that. */
export function originForm(target = '/'): string {
  if (target.startsWith('/')) return target;
  const [start] = AUTHORITY.exec(target) ?? [];
  if (start === undefined) return target;
  const rest = target.slice(start.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The path of a request's target, without its query. */
export function pathOf(target: string | undefined): string {
  const form = originForm(target);
  const query = form.indexOf('?');
  return query < 0 ? form : form.slice(0, query);
}

/** Whether a path is the one of the endpoint: a slash at its end makes no difference, as with routes. */
export function isEndpoint(path: string, endpoint: string): boolean {
  return path === endpoint || (path !== '' && withoutSlash(path) === withoutSlash(endpoint));
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Whether a browser's page may connect: one of the same host (the scheme is ignored), or of a configured one. */
export function checkOrigin(request: IncomingMessage, allowed: Origins): Refusal | undefined {
  const { origin, host = '' } = request.headers;
  if (origin === undefined) return undefined;
  // A host in the request's target counts more than the header.
  const own = AUTHORITY.exec(request.url ?? '')?.[1] ?? host;
  if (allowsOrigin(allowed, origin, own)) return undefined;
  return {
    status: 403,
    message: 'Origin not allowed',
    hint: `origin ${logText(origin)}, host ${logText(own)}: see ws.origins`,
  };
}

/**
 * The codec for the subprotocols that a client offers: the first one that is supported, `fallback` when it offers none.
 */
export function chooseCodec(
  request: IncomingMessage,
  supported: ReadonlySet<string>,
  fallback: string,
): string | Refusal {
  const header = request.headers['sec-websocket-protocol'];
  if (header === undefined) return fallback;
  const offered = header.split(',').map(name => name.trim());
  if (new Set(offered).size !== offered.length) return malformed('A subprotocol is offered twice');
  if (!offered.every(name => TOKEN.test(name))) return malformed('Sec-WebSocket-Protocol is malformed');
  return offered.find(name => supported.has(name)) ?? malformed('No offered subprotocol is supported');
}
