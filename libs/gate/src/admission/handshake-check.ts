import type { IncomingMessage } from 'node:http';
import { logText } from '@nestgate/protocol';
import type { Refusal } from './admission.js';
import { allowsOrigin, type Origins } from './origins.js';

/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** The start of a request target in absolute form, as clients send it to proxies (RFC 9112, 3.2.2). */
const AUTHORITY = /^https?:\/\/([^/?#]*)/i;

const WRONG_VERSION: Refusal = {
  status: 426,
  message: 'Sec-WebSocket-Version must be 13',
  headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
};

function malformed(message: string): Refusal {
  return { status: 400, message };
}

/** Returns why a request is not a valid WebSocket upgrade by RFC 6455, or `undefined`. */
export function checkUpgrade(request: IncomingMessage): Refusal | undefined {
  const { method, headers, httpVersionMajor, httpVersionMinor, rawHeaders } = request;
  if (httpVersionMajor !== 1 || httpVersionMinor < 1) return malformed('The version must be HTTP/1.1');
  // Node keeps only the first `Host`. With two, the gate could compare the `Origin` with one while the proxy routes by the other.
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) if (isHost(rawHeaders[at] as string)) hosts++;
  if (hosts !== 1) return malformed('There must be one Host');
  if (method !== 'GET') return malformed('The method must be GET');
  // Node passes a request body on as the first bytes of the WebSocket protocol.
  const { upgrade, 'content-length': length } = headers;
  if (headers['transfer-encoding'] !== undefined || (length !== undefined && !/^0*$/.test(length))) {
    return malformed('An upgrade has no body');
  }
  if (upgrade !== 'websocket' && upgrade?.toLowerCase() !== 'websocket') return malformed('Upgrade must be websocket');
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) return malformed('Sec-WebSocket-Key is missing or malformed');
  if (headers['sec-websocket-version'] !== '13') return WRONG_VERSION;
  return undefined;
}

/** Runs for each header of each handshake. Compares the length first, so that few names are converted to lower case. */
function isHost(name: string): boolean {
  return name === 'Host' || (name.length === 4 && name.toLowerCase() === 'host');
}

/** The path and query of a request target; an absolute form is reduced to them. */
export function originForm(target = '/'): string {
  if (target.startsWith('/')) return target;
  const [start] = AUTHORITY.exec(target) ?? [];
  if (start === undefined) return target;
  const rest = target.slice(start.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The path of a request target, without the query. */
export function pathOf(target: string | undefined): string {
  const form = originForm(target);
  const query = form.indexOf('?');
  return query < 0 ? form : form.slice(0, query);
}

/** Whether a path is that of the endpoint. A trailing slash is ignored, as in routes. */
export function isEndpoint(path: string, endpoint: string): boolean {
  return path === endpoint || (path !== '' && withoutSlash(path) === withoutSlash(endpoint));
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Refuses the page of a browser unless its origin is the same host (with any scheme) or a configured one. */
export function checkOrigin(request: IncomingMessage, allowed: Origins): Refusal | undefined {
  const { origin, host = '' } = request.headers;
  if (origin === undefined) return undefined;
  // A host in the request target has precedence over the header.
  const own = AUTHORITY.exec(request.url ?? '')?.[1] ?? host;
  if (allowsOrigin(allowed, origin, own)) return undefined;
  return {
    status: 403,
    message: 'Origin not allowed',
    hint: `origin ${logText(origin)}, host ${logText(own)}: see ws.origins`,
  };
}

/**
 * The codec for the subprotocols that a client offers: the first supported one, or `fallback` when it offers none.
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
