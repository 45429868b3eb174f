import { GateError } from '../errors.js';

/** The used part of a `URL`. */
interface UrlLike {
  protocol: string;
  hash: string;
  readonly href: string;
}

/**
 * The address of a gate, absolute and with the scheme of WebSockets.
 * @throws {GateError} `BAD_ARGUMENT` for anything else. The message does not contain the URL, which may contain a token.
 */
export function gateUrl(url: string, base: string | undefined): string {
  let parsed: UrlLike | undefined;
  try {
    const { URL } = globalThis as unknown as { URL: new (url: string, base?: string) => UrlLike };
    parsed = new URL(url, base);
    // Only recent browsers accept http, and none accepts a fragment.
    parsed.protocol = parsed.protocol.replace('http', 'ws');
    parsed.hash = '';
  } catch {
    // Refused below.
  }
  if (parsed && /^wss?:/.test(parsed.href)) return parsed.href;
  throw new GateError('BAD_ARGUMENT', 'The URL must be ws: or wss:, and absolute outside of a page');
}
