import { describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { examplesOf, fencesOf, read } from '../support/docs-support.js';

/** The rows of what the gate consists of; each has a section, and `describe` blocks of their names have their tests. */
const ROWS = [
  'Gate',
  'Delegater',
  'ClientAgent',
  'Session',
  'SessionLearner',
  'AgentLearner',
  'StorageHandler',
  'RouteHandler',
  'WorkerChoice',
  'TapRedactor',
  'SendMessageHook',
  'RecvPackHandler',
  'Pack',
  'Options',
];

/** Options without which a part of the gate cannot be: they have no default. */
const REQUIRED = new Set(['tcp.port', 'tls.certFile', 'tls.keyFile']);
/** Defaults that are not the same everywhere. */
const BY_SYSTEM = new Set(['maxConnections']);

const page = read('docs/gate.md');
const sources = ['gate-examples.ts', 'gate-examples-auth.ts', 'gate-examples-sessions.ts', 'gate-examples-wire.ts']
  .map(file => read(`test/e2e/gate/support/${file}`))
  .join('\n');

const fences = fencesOf(page);
const examples = examplesOf(sources);

/** Every option with its default as the page writes it. */
function defaults(): Record<string, string> {
  const { ws, tcp, tls, resume, ...rest } = resolveGateOptions({
    resume: {},
    tcp: { port: 0 },
    tls: { certFile: 'c', keyFile: 'k', caFile: undefined },
  });
  const nested = Object.entries({ ws, tcp, tls, resume }).flatMap(([group, options]) =>
    Object.entries(options as object).map(([key, value]): [string, unknown] => [`${group}.${key}`, value]),
  );
  // It has another default with `resume`, which stands in the row as text.
  const { drainTimeout } = resolveGateOptions({});
  return Object.fromEntries(
    [...nested, ...Object.entries({ ...rest, drainTimeout })].map(([key, value]) => [key, written(key, value)]),
  );
}

function written(key: string, value: unknown): string {
  if (REQUIRED.has(key)) return 'required';
  if (BY_SYSTEM.has(key)) return 'by the system';
  if (value === undefined) return '–';
  return `\`${typeof value === 'string' ? `'${value}'` : JSON.stringify(value)}\``;
}

/** The cells of each row of the table of options. */
function documented(): string[][] {
  const table = /\| option .*\n\|[ |-]*\n((?:\|.*\n)+)/.exec(page)?.[1] ?? '';
  const rows = table.trimEnd().split('\n');
  return rows.map(row =>
    row
      .slice(1, -1)
      .split('|')
      .map(cell => cell.trim()),
  );
}

describe('docs/gate.md', () => {
  it.each(ROWS)('has a section with an example for %s', row => {
    const section = page.split(/^## /m).find(part => part.startsWith(`${row}\n`)) ?? '';
    expect(section).toContain('```ts');
  });

  it('shows no code that the tests do not run', () => {
    expect(fences.length).toBeGreaterThanOrEqual(ROWS.length);
    const known = new Set(examples.values());
    expect(fences.filter(({ language, code }) => language !== 'ts' || !known.has(code))).toEqual([]);
  });

  it('shows every example', () => {
    const shown = new Set(fences.map(({ code }) => code));
    expect([...examples].filter(([, code]) => !shown.has(code)).map(([name]) => name)).toEqual([]);
  });

  it('names every option with the default that it has, and a unit for each number', () => {
    const table = documented();
    expect(Object.fromEntries(table.map(([name, fallback]) => [name?.replaceAll('`', ''), fallback]))).toEqual(
      defaults(),
    );
    const numbers = table.filter(([, fallback]) => /^`\d+`$/.test(fallback ?? ''));
    expect(numbers.filter(([, , unit]) => !unit)).toEqual([]);
    expect(table.filter(row => row.length !== 4 || row[3] === '')).toEqual([]);
  });

  it('links to sections that exist', () => {
    const titles = Array.from(page.matchAll(/^## (.+)$/gm), match => (match[1] as string).toLowerCase());
    const sections = new Set(titles);
    const anchors = Array.from(page.matchAll(/\(#([\w-]+)\)/g), match => (match[1] as string).replaceAll('-', ' '));
    expect(anchors.filter(anchor => !sections.has(anchor))).toEqual([]);
  });
});
