import type { IncomingMessage } from 'node:http';
import type { Refusal } from './admission.js';

/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/([^/?#@\s]+)$/i;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

const FOREIGN: Refusal = { status: 403, message: 'Origin not allowed' };

function malformed(message: string): Refusal {
  return { status: 400, message };
}

/** Whether a request is a WebSocket upgrade as RFC 6455 wants it. */
export function checkUpgrade(request: IncomingMessage): Refusal | undefined {
  const { method, headers, httpVersionMajor, httpVersionMinor, rawHeaders } = request;
  if (httpVersionMajor !== 1 || httpVersionMinor < 1) return malformed('The version must be HTTP/1.1');
  // Node keeps only the first Host; two of them would let the Origin be compared with one and the proxy route by another.
  if (rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length !== 1) {
    return malformed('There must be one Host');
  }
  if (method !== 'GET') return malformed('The method must be GET');
  if (headers.upgrade?.toLowerCase() !== 'websocket') return malformed('Upgrade must be websocket');
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) return malformed('Sec-WebSocket-Key is missing or malformed');
  if (headers['sec-websocket-version'] !== '13') return malformed('Sec-WebSocket-Version must be 13');
  return undefined;
}

/** Whether a browser's page may connect: one of the same host (the scheme is ignored), or of a configured one. */
export function checkOrigin(request: IncomingMessage, allowed: '*' | readonly string[]): Refusal | undefined {
  const { origin, host } = request.headers;
  if (origin === undefined || allowed === '*') return undefined;
  const from = hostOf(origin);
  if (from === undefined) return FOREIGN;
  if (from === withoutDefaultPort(host ?? '')) return undefined;
  return allowed.some(entry => (hostOf(entry) ?? withoutDefaultPort(entry)) === from) ? undefined : FOREIGN;
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

function hostOf(origin: string): string | undefined {
  const host = ORIGIN.exec(origin)?.[1];
  return host === undefined ? undefined : withoutDefaultPort(host);
}

function withoutDefaultPort(host: string): string {
  return host.toLowerCase().replace(/:(80|443)$/, '');
}
