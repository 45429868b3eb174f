import { fileURLToPath } from 'node:url';
import type { NestExpressApplication } from '@nestjs/platform-express';

/** Nothing from elsewhere, nothing inline: text of users can never become script. */
const POLICY =
  "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'self'; script-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const PUBLIC = fileURLToPath(new URL('../web/public', import.meta.url));
const SCRIPTS = fileURLToPath(new URL('../web/dist', import.meta.url));

/** The little of a response that is needed here. */
interface HeaderSink {
  setHeader(name: string, value: string): unknown;
}

/** Serves the chat page at `/` and its scripts under `/app`. */
export function servePage(app: NestExpressApplication): void {
  const setHeaders = (response: HeaderSink): void => {
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
  };
  app.useStaticAssets(PUBLIC, { setHeaders });
  app.useStaticAssets(SCRIPTS, { prefix: '/app', setHeaders });
}
