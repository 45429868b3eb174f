import { createPublicKey, type KeyObject } from 'node:crypto';
import { Injectable, Logger, ServiceUnavailableException, UnauthorizedException } from '@nestjs/common';
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { isName } from '@nestgate/worker';

/** Whose tokens are believed: exactly one of `secret`, `publicKey` and `jwks`. */
export interface JwtOptions {
  /** For HS256: 32 bytes at least. */
  readonly secret?: string;
  /** A public key in PEM: RSA, EC or Ed25519. */
  readonly publicKey?: string;
  /** Where the keys of the issuer are, as a JWK set: an https URL, or one of this machine. */
  readonly jwks?: string;
  /** What `iss` must be. @defaultValue anything */
  readonly issuer?: string;
  /** What `aud` must hold. @defaultValue anything */
  readonly audience?: string;
}

/** What a token that is good says. */
export interface VerifiedToken {
  /** `sub`. */
  readonly userId: string;
  /** `roles`, as far as they are texts. */
  readonly roles: readonly string[];
  /** `iat` in milliseconds since the epoch; 0, older than any revocation, when the token does not say. */
  readonly issuedAt: number;
  /** `exp` in milliseconds since the epoch. */
  readonly expiresAt: number;
}

const MIN_SECRET_BYTES = 32;
/** Longest token in characters. */
const MAX_TOKEN = 8_192;
const MAX_ROLES = 32;
const KEYS_TIMEOUT_MS = 3_000;
/** What a public key may be used with. Never a shared-secret algorithm: the public key would be the secret then. */
const PUBLIC_ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ec: ['ES256', 'ES384', 'ES512'],
  ed25519: ['EdDSA', 'Ed25519'],
};

/** Checks tokens. It tells nobody why one is refused, and no part of a token is in an error or in the log. */
@Injectable()
export class JwtVerifier {
  private readonly logger = new Logger(JwtVerifier.name);
  private readonly key: JWTVerifyGetKey | undefined;
  private readonly algorithms: string[];

  /** Without options no token is good. @throws {Error} for options that cannot be used. */
  constructor(private readonly options?: JwtOptions) {
    const { secret, publicKey, jwks } = options ?? {};
    if (options && [secret, publicKey, jwks].filter(way => way !== undefined).length !== 1) {
      throw new Error('JWTs need one of a secret, a public key and a JWK set');
    }
    this.algorithms = ['HS256'];
    if (secret !== undefined) {
      const bytes = new TextEncoder().encode(secret);
      if (bytes.length < MIN_SECRET_BYTES) {
        throw new Error(`The secret of JWTs is too short: HS256 needs ${MIN_SECRET_BYTES} bytes at least`);
      }
      this.key = async () => bytes;
    } else if (publicKey !== undefined) {
      const key = readKey(publicKey);
      this.algorithms = [...(PUBLIC_ALGORITHMS[key.asymmetricKeyType ?? ''] ?? [])];
      if (this.algorithms.length === 0) throw new Error('The public key of JWTs must be RSA, EC or Ed25519');
      this.key = async () => key;
    } else if (jwks !== undefined) {
      this.key = createRemoteJWKSet(keysUrl(jwks), { timeoutDuration: KEYS_TIMEOUT_MS });
      this.algorithms = Object.values(PUBLIC_ALGORITHMS).flat();
    }
  }

  /** Whether tokens are asked for at all. */
  get isOn(): boolean {
    return this.key !== undefined;
  }

  /**
   * @throws {UnauthorizedException} for everything that is not a good token of a user.
   * @throws {ServiceUnavailableException} when the keys of the issuer cannot be had.
   */
  async verify(token: unknown): Promise<VerifiedToken> {
    if (!this.key || typeof token !== 'string' || token === '' || token.length > MAX_TOKEN) throw refused();
    const { issuer, audience } = this.options ?? {};
    try {
      const { payload } = await jwtVerify(token, this.key, {
        algorithms: this.algorithms,
        requiredClaims: ['sub', 'exp'],
        issuer,
        audience,
      });
      return contentOf(payload);
    } catch (error) {
      throw this.reasonOf(error);
    }
  }

  private reasonOf(error: unknown): Error {
    if (error instanceof UnauthorizedException) return error;
    const isTokens = error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout);
    // A set that cannot be fetched is an error of the general class, or none of the library's.
    if (isTokens && error.code !== 'ERR_JOSE_GENERIC' && error.code !== 'ERR_JWKS_INVALID') return refused();
    this.logger.error(`The keys of the issuer cannot be had: ${(error as { code?: string }).code ?? 'no answer'}`);
    return new ServiceUnavailableException();
  }
}

function contentOf({ sub, exp, iat, roles }: JWTPayload): VerifiedToken {
  if (!isName(sub) || !Number.isFinite(exp)) throw refused();
  const given: readonly unknown[] = Array.isArray(roles) ? roles.slice(0, MAX_ROLES) : [];
  return {
    userId: sub,
    roles: given.filter(isName),
    issuedAt: (iat ?? 0) * 1_000,
    expiresAt: (exp as number) * 1_000,
  };
}

/** The same answer for every reason, so that it does not help to guess tokens. */
function refused(): UnauthorizedException {
  return new UnauthorizedException('A valid token is needed');
}

function readKey(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch {
    throw new Error('The public key of JWTs is not a key in PEM');
  }
}

function keysUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isLocal = url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url && (url.protocol === 'https:' || isLocal) && url.username === '' && url.password === '') return url;
  throw new Error('The URL of the JWK set must be https, or http of this machine, without credentials');
}
