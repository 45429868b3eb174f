import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { GateError } from '@nestgate/protocol';
import { Output, parseDuration } from '../output.js';

const MIN_SECRET_BYTES = 32;

/** Adds `token`, which makes keys of the HTTP API and tokens of clients. */
export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('makes keys and tokens').exitOverride();
  token
    .command('key')
    .description('makes a key of the HTTP API, and the hash that the configuration has')
    .option('--name <name>', 'what logs call it', 'key')
    .option('--scopes <scopes>', 'push, query and manage, joined by "+"', 'push+query')
    .option('--json', 'writes JSON')
    .exitOverride()
    .action(({ name, scopes, json }: { name: string; scopes: string; json?: boolean }) => {
      const key = randomBytes(32).toString('base64url');
      const sha256 = createHash('sha256').update(key).digest('hex');
      new Output(json === true).fields({ key, sha256, NESTGATE_HTTP_KEYS: `${name}:${sha256}:${scopes}` });
    });
  token
    .command('jwt')
    .description('makes a JWT (HS256) for the example apps')
    .requiredOption('--sub <uid>', 'the uid')
    .option('--secret <secret>', '32 bytes or more (NESTGATE_JWT_SECRET)')
    .option('--role <role...>', 'roles of the user')
    .option('--for <duration>', 'how long it is valid', parseDuration, 3_600_000)
    .exitOverride()
    .action(({ sub, secret, role, for: validMs }: { sub: string; secret?: string; role?: string[]; for: number }) => {
      const key = secret ?? process.env['NESTGATE_JWT_SECRET'] ?? '';
      if (Buffer.byteLength(key) < MIN_SECRET_BYTES) {
        throw new GateError(
          'BAD_ARGUMENT',
          `--secret, or NESTGATE_JWT_SECRET, must have ${MIN_SECRET_BYTES} bytes or more`,
        );
      }
      const now = Math.floor(Date.now() / 1_000);
      const claims = { sub, ...(role && { roles: role }), iat: now, exp: now + Math.ceil(validMs / 1_000) };
      const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
      new Output(false).line(`${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`);
    });
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
