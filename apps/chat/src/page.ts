import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NestExpressApplication } from '@nestjs/platform-express';

const PUBLIC = fileURLToPath(new URL('../web/public', import.meta.url));
const SCRIPTS = fileURLToPath(new URL('../web/dist', import.meta.url));
/** Served as it is: the import map of the page leads to it. */
const CLIENT = fileURLToPath(new URL('.', import.meta.resolve('@nestgate/client')));

/**
 * Nothing from elsewhere, and nothing inline besides the import map, which is allowed by its hash: text of users can never become script.
 * @throws {Error} when the page has no import map.
 */
function readPolicy(): string {
  const map = /<script type="importmap">([^]*?)<\/script>/.exec(readFileSync(join(PUBLIC, 'index.html'), 'utf8'))?.[1];
  if (map === undefined) throw new Error('web/public/index.html has no import map');
  const hash = createHash('sha256').update(map).digest('base64');
  return (
    `default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; script-src 'self' 'sha256-${hash}'; ` +
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
  );
}

/** The little of a response that is needed here. */
interface HeaderSink {
  setHeader(name: string, value: string): unknown;
}

/** Serves the chat page at `/`, its scripts under `/app`, and the client library under `/client`. */
export function servePage(app: NestExpressApplication): void {
  const policy = readPolicy();
  const setHeaders = (response: HeaderSink): void => {
    response.setHeader('Content-Security-Policy', policy);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
  };
  app.useStaticAssets(PUBLIC, { setHeaders });
  app.useStaticAssets(SCRIPTS, { prefix: '/app', setHeaders });
  app.useStaticAssets(CLIENT, { prefix: '/client', setHeaders });
}
