import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { checkServerIdentity, createSecureContext, type PeerCertificate } from 'node:tls';
import { GateError } from '@nestgate/protocol';
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  type NodeConnectionOptions,
} from '@nats-io/transport-node';
import type { FileKey, NatsUrl } from './nats-url.js';

type Access = Pick<NodeConnectionOptions, 'authenticator' | 'user' | 'pass' | 'token' | 'tls'>;

/**
 * How to be let in, as the URL and the code say; where both say something, the code wins. Files are read once here, so that
 * a wrong one fails the start, and again with each connection, so that they can be renewed.
 * @throws {GateError} `BAD_ARGUMENT` naming the key of a file that cannot be read or holds something else.
 */
export function accessOf(url: NatsUrl, connection: Access): Access {
  const { creds, nkey } = url.files;
  const { user = url.user, pass = url.pass, token = url.token, tls = tlsOf(url) } = connection;
  const authenticators = [connection.authenticator ?? []].flat().map(keepGoing);
  if (authenticators.length === 0 && creds !== undefined) {
    authenticators.push(fromFile('creds', creds, credsAuthenticator));
  } else if (authenticators.length === 0 && nkey !== undefined) {
    authenticators.push(fromFile('nkey', nkey, seed => nkeyAuthenticator(trimmed(seed))));
  }
  return { user, pass, token, tls, authenticator: authenticators };
}

function fromFile(key: FileKey, path: string, authenticatorOf: (bytes: Buffer) => Authenticator): Authenticator {
  const bytes = readFile(key, path);
  try {
    authenticatorOf(bytes)('nonce');
  } catch {
    throw new GateError('BAD_ARGUMENT', `link: ${key}: the file ${JSON.stringify(path)} does not hold what it should`);
  }
  return keepGoing(nonce => authenticatorOf(readFile(key, path))(nonce));
}

function trimmed(seed: Buffer): Uint8Array {
  return Buffer.from(seed.toString('latin1').trim(), 'latin1');
}

/**
 * An authenticator that throws makes the client close for good. One that has worked before comes in without credentials
 * instead, which the server refuses, and the next attempt asks it again.
 */
function keepGoing(authenticator: Authenticator): Authenticator {
  let hasWorked = false;
  return nonce => {
    try {
      const auth = authenticator(nonce);
      hasWorked = true;
      return auth;
    } catch (error) {
      if (!hasWorked) throw error;
      return undefined;
    }
  };
}

function tlsOf({ secure, files: { ca, cert, key }, addresses }: NatsUrl): NodeConnectionOptions['tls'] {
  if (!secure) return undefined;
  checkTlsFiles({ ca, cert, key });
  // The client passes all of this to `tls.connect`, also what its types do not list.
  const options = {
    caFile: ca,
    certFile: cert,
    keyFile: key,
    // For a server that was dialled by its address, the client has the name `localhost` checked.
    checkServerIdentity: (host: string, certificate: PeerCertificate): Error | undefined => {
      const error = checkServerIdentity(host, certificate);
      if (!error || host !== 'localhost') return error;
      return addresses.some(address => !checkServerIdentity(address, certificate)) ? undefined : error;
    },
  };
  return options;
}

function checkTlsFiles(files: { readonly [K in 'ca' | 'cert' | 'key']?: string }): void {
  const read: Record<string, Buffer> = {};
  for (const [key, path] of Object.entries(files)) if (path !== undefined) read[key] = readFile(key, path);
  const { ca, cert, key } = read;
  attempt('ca', () => ca && new X509Certificate(ca));
  attempt('cert', () => cert && new X509Certificate(cert));
  attempt('key', () => createSecureContext({ ca, cert, key }));
}

function attempt(key: string, use: () => unknown): void {
  try {
    use();
  } catch (error) {
    throw new GateError('BAD_ARGUMENT', `link: ${key}: TLS cannot use the file (${messageOf(error)})`);
  }
}

function readFile(key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    throw new GateError('BAD_ARGUMENT', `link: ${key}: the file ${JSON.stringify(path)} cannot be read (${code})`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
