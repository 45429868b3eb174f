import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

/**
 * The files that may read the wall clock, and what for. Everything that is measured within one process (deadlines, silence,
 * rates, pauses) goes by `performance.now()`, which nobody sets; a wall clock is for what people or other machines see. A
 * new entry needs such a reason.
 */
const ALLOWED: Readonly<Record<string, string>> = {
  'libs/gate/src/auth/revoker.ts': 'the default of `before`, which is compared with when tokens were issued',
  'libs/gate/src/auth/session-expiry.ts': 'how long it is until the moment at which a token expires, when that is set',
  'libs/gate/src/connection/client-lifecycle.ts': '`connectedAt`, which people see',
  'libs/gate/src/connection/handshake-pipeline.ts': 'whether a token has expired already',
  'libs/gate/src/session/session-keeper.ts': 'whether a token has expired already',
  'libs/link/src/hybrid-clock.ts': 'the order of logins on gates that have not heard of each other',
  'libs/worker/src/gateway/gateway-auth.ts': '`before`, which is compared with when tokens were issued',
  'libs/worker/src/node/node.providers.ts': 'the epoch, which differs from that of earlier boots',
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
  it('is read only where somebody outside of the process sees the time', () => {
    expect(FILES.length).toBeGreaterThan(100);
    expect(FILES.filter(file => WALL_CLOCK.test(codeOf(file))).sort()).toEqual(Object.keys(ALLOWED).sort());
  });
});
