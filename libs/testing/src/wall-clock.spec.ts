import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

/**
 * The files that may read the wall clock, and what for. Everything that is measured within one process (deadlines, silence,
 * rates, pauses) goes by `performance.now()`, which nobody sets; a wall clock is for what people or other machines see. A
 * new entry needs such a reason.
 */
const ALLOWED: Readonly<Record<string, string>> = {
  'libs/client/src/connection/environment.ts':
    'when tokens expire, when people see the next attempt, and whether the machine has slept',
  'libs/client/src/session/page-store.ts': 'whether a session is kept still, which another page has saved',
  'libs/gate/src/auth/revoker.ts': 'the default of `before`, which is compared with when tokens were issued',
  'libs/gate/src/auth/session-expiry.ts': 'how long it is until the moment at which a token expires, when that is set',
  'libs/gate/src/client/client-lifecycle.ts': '`connectedAt`, which people see',
  'libs/gate/src/admission/handshake-pipeline.ts': 'whether a token has expired already',
  'libs/gate/src/operate/session-tap.ts': 'when a tapped frame was seen, which people see',
  'libs/gate/src/session/session-keeper.ts': 'whether a token has expired already',
  'libs/gate/src/spool/spool-folder.ts': 'how old files are that an earlier run has left',
  'libs/gate/src/spool/spooled-sessions.ts': 'how long the gate did not run',
  'libs/link/src/common/hybrid-clock.ts': 'the order of logins on gates that have not heard of each other',
  'libs/admin/src/page/main.ts': 'when the page was refreshed, which people see',
  'libs/admin/src/page/session-view.ts': 'since when a client is connected, which people see',
  'libs/admin/src/page/tap-view.ts': 'when a tapped frame was seen, which people see',
  'libs/admin/src/page/views.ts': 'since when clients are connected, which people see',
  'libs/cli/src/commands/cluster.ts': 'since when clients are connected, which people see',
  'libs/cli/src/commands/doctor.ts': 'whether the clocks of the nodes differ',
  'libs/cli/src/commands/tap.ts': 'when a tapped frame was seen, which people see',
  'libs/cli/src/commands/token.ts': 'when a token expires',
  'libs/worker/src/gateway/gateway-auth.ts': '`before`, which is compared with when tokens were issued',
  'libs/worker/src/http/http-intake.ts': 'whether a key has expired',
  'libs/worker/src/node/node.providers.ts': 'the epoch, which differs from that of earlier boots',
  'libs/worker/src/webhooks/webhook-endpoint.ts': 'the time of a signature, which its receiver compares with its own',
  'libs/worker/src/operate/node-reporter.ts': 'whether the clocks of the nodes differ',
};

const WALL_CLOCK = /\bDate\s*\.\s*now\b|\bnew Date\b|\bDate\(|\btimeOrigin\b|\bprocess\.hrtime\b/;
const isSource = (file: string): boolean => file.endsWith('.ts') && !file.endsWith('.spec.ts');

/** Sources of the libs; those for tests measure nothing that is promised. */
const FILES = readdirSync('libs')
  .filter(lib => lib !== 'testing')
  .flatMap(lib =>
    readdirSync(`libs/${lib}/src`, { recursive: true, encoding: 'utf8' }).map(file => `libs/${lib}/src/${file}`),
  )
  .filter(isSource);

/** The code of a file, without its comments. */
const codeOf = (file: string): string => readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');

describe('the wall clock', () => {
  it('is read only where the time leaves the process', () => {
    expect(FILES.length).toBeGreaterThan(100);
    expect(FILES.filter(file => WALL_CLOCK.test(codeOf(file))).sort()).toEqual(Object.keys(ALLOWED).sort());
  });
});
