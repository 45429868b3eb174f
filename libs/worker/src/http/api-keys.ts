import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { HttpKey } from './http-options.js';

/** Longest key in characters. */
const MAX_KEY_LENGTH = 512;

/** The keys of the HTTP API. A key is looked up by its hash, so that the time of a look-up discloses nothing of other keys. */
export class ApiKeys {
  private readonly byHash: ReadonlyMap<string, HttpKey>;

  constructor(keys: readonly HttpKey[]) {
    this.byHash = new Map(keys.map(key => [key.sha256.toLowerCase(), key]));
  }

  /** Whether a request needs a key. */
  get isRequired(): boolean {
    return this.byHash.size > 0;
  }

  /** The key of a request, or why it is refused. */
  check(headers: IncomingHttpHeaders): HttpKey | 'missing' | 'unknown' | 'expired' {
    const given = bearerOf(headers);
    if (given === undefined) return 'missing';
    const key = this.byHash.get(createHash('sha256').update(given).digest('hex'));
    if (!key) return 'unknown';
    return key.expiresAt !== undefined && Date.now() >= key.expiresAt ? 'expired' : key;
  }
}

function bearerOf({ authorization }: IncomingHttpHeaders): string | undefined {
  if (authorization === undefined || authorization.length > MAX_KEY_LENGTH) return undefined;
  return /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
}
