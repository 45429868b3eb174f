import { readFileSync } from 'node:fs';
import type { Provider } from '@nestjs/common';
import { HandshakeHandler, RouteHandler, SessionLearner } from '@nestgate/gate';
import { GuestDeadline, JwtHandshake, TokenFirst } from './jwt-handshake.js';
import { type JwtOptions, JwtVerifier } from './jwt-verifier.js';

/**
 * What the environment says about tokens: one of `NESTGATE_JWT_SECRET`, `NESTGATE_JWT_KEY_FILE` and `NESTGATE_JWT_JWKS`, and
 * `NESTGATE_JWT_ISSUER` and `NESTGATE_JWT_AUDIENCE`; `undefined` when it says nothing.
 * @throws {Error} naming the variable.
 */
export function readJwtOptions(env: NodeJS.ProcessEnv): JwtOptions | undefined {
  const secret = env['NESTGATE_JWT_SECRET'] || undefined;
  const keyFile = env['NESTGATE_JWT_KEY_FILE'] || undefined;
  const jwks = env['NESTGATE_JWT_JWKS'] || undefined;
  const issuer = env['NESTGATE_JWT_ISSUER'] || undefined;
  const audience = env['NESTGATE_JWT_AUDIENCE'] || undefined;
  if ([secret, keyFile, jwks].every(way => way === undefined)) {
    // An issuer or audience without a key is a mistake, not an app without tokens.
    if (issuer === undefined && audience === undefined) return undefined;
    throw new Error('NESTGATE_JWT_ISSUER and NESTGATE_JWT_AUDIENCE need NESTGATE_JWT_SECRET, _KEY_FILE or _JWKS');
  }
  return { secret, publicKey: keyFile === undefined ? undefined : readKeyFile(keyFile), jwks, issuer, audience };
}

/** The verifier that the environment asks for. @throws {Error} naming the variables that cannot be used. */
export function readJwtVerifier(env: NodeJS.ProcessEnv): JwtVerifier {
  try {
    return new JwtVerifier(readJwtOptions(env));
  } catch (error) {
    throw new Error(`NESTGATE_JWT_…: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * What makes a gate ask for tokens. WebSocket clients bring theirs with the handshake; `hasTcp`: TCP clients have none, and send
 * theirs as their first message.
 */
export function jwtProviders(tokens: JwtVerifier, hasTcp: boolean): Provider[] {
  if (!tokens.isOn) return [];
  const forTcp: Provider[] = [
    { provide: RouteHandler, useClass: TokenFirst },
    { provide: SessionLearner, useClass: GuestDeadline },
  ];
  return [
    { provide: JwtVerifier, useValue: tokens },
    { provide: HandshakeHandler, useClass: JwtHandshake },
    ...(hasTcp ? forTcp : []),
  ];
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`NESTGATE_JWT_KEY_FILE cannot be read: ${(error as { code?: string }).code}`, { cause: error });
  }
}
