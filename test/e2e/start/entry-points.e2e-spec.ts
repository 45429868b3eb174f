import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { ENTRY_POINTS, INJECTIONS } from './support/entry-points-table.js';

const COMMENTS = /\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const REGISTRATION =
  /(?:[\w.#?]+|\))\.(?:on|once|addListener|prependListener)\((?:'[^']+'|[a-z]\w*(?:\.\w+)*(?=,))|(?<![\w.])(?:setTimeout|setInterval|setImmediate|queueMicrotask)\(|process\.nextTick\(/g;

it('every callback of a socket or timer was reviewed for what it throws', () => {
  const found: Record<string, string[]> = {};
  for (const file of sources()) {
    if (!file.endsWith('.ts') || file.endsWith('.spec.ts')) continue;
    const registrations = readFileSync(file, 'utf8').replace(COMMENTS, '').match(REGISTRATION);
    if (registrations) found[file] = [...registrations];
  }
  // A new one: have its callback catch what it throws, report it to `LinkNode.defects` and end what it is about; then list it.
  expect(found).toEqual(ENTRY_POINTS);
});

it('for each of them a test has it throw, or it says why none can', () => {
  expect(Object.keys(INJECTIONS).sort()).toEqual(Object.keys(ENTRY_POINTS).sort());
  const missing = Object.entries(INJECTIONS).filter(
    ([, injection]) => !('cannot' in injection) && !readFileSync(injection[0], 'utf8').includes(injection[1]),
  );
  expect(missing).toEqual([]);
});

function sources(): string[] {
  return ['contract', 'gate', 'link', 'protocol', 'worker'].flatMap(lib =>
    readdirSync(`libs/${lib}/src`, { recursive: true, encoding: 'utf8' }).map(file => `libs/${lib}/src/${file}`),
  );
}
