import { describe, expect, it } from '@jest/globals';
import { type Codec, sessionContract } from '@nestgate/link/internal';
import { isErrorCode } from '@nestgate/protocol';
import { type GateClientOptions, GateClientProxy, type GatePattern, type NodeOptions } from '@nestgate/worker';
import { type OnTopicOptions, Session } from '@nestgate/worker';
import { examplesOf, fencesOf, read } from '../support/docs-support.js';

const SOURCES = [
  'worker-examples',
  'worker-examples-client',
  'worker-examples-main',
  'worker-examples-hybrid',
  'worker-examples-auth',
  'worker-examples-throttling',
];

/** Options and their defaults, as the page writes them; an option that is not here does not compile. */
const NODE_DEFAULTS: Record<keyof NodeOptions, string> = {
  link: "`'memory:'`",
  secret: '–',
  nodeId: 'generated',
  gateWait: '`3000`',
  joinWithoutServer: 'by use',
  currentClient: '`true`',
  contracts: '–',
  strict: '`false`',
  validate: 'by `NODE_ENV`',
};
const TOPIC_DEFAULTS: Record<keyof OnTopicOptions, string> = {
  concurrent: '`false`',
  payload: "`'raw'` for a payload declared as `Buffer`, else `'json'`",
};
const CLIENT_DEFAULTS: Record<keyof GateClientOptions, string> = {
  link: '',
  secret: '',
  nodeId: '',
  node: '',
  deadlineMs: '`5000`',
};

const page = read('docs/worker.md');
/** The examples import each other as files of an app would. */
const sources = SOURCES.map(file => read(`test/e2e/topics/support/${file}.ts`))
  .join('\n')
  .replaceAll("'./worker-examples.js'", "'./topics.js'");

const fences = fencesOf(page);
const examples = examplesOf(sources);

function sectionOf(title: string): string {
  return page.split(/^## /m).find(part => part.startsWith(`${title}\n`)) ?? '';
}

/** The cells of the rows of a section's table whose first column has this head. */
function table(title: string, head: string): string[][] {
  const rows = new RegExp(`^\\| ${head} .*\\n\\|[ |-]*\\n((?:\\|.*\\n)+)`, 'm').exec(sectionOf(title))?.[1] ?? '';
  return rows
    .trimEnd()
    .split('\n')
    .map(row => row.slice(1, -1).split('|'))
    .map(cells => cells.map(cell => cell.trim()));
}

/** The names in backticks. */
const namesIn = (text = ''): string[] => Array.from(text.matchAll(/`([^`]+)`/g), match => match[1] as string);

/** Every option that a table has, with its default. */
const documented = (title: string): Record<string, string | undefined> =>
  Object.fromEntries(
    table(title, 'option').flatMap(([names, fallback]) => namesIn(names).map(name => [name, fallback])),
  );

/** The arguments of a pattern as the page writes them. */
function argumentsOf(pattern: GatePattern): string[] {
  const { fields = {} }: Codec<unknown> = sessionContract[pattern].args;
  return Object.entries(fields).map(([name, { isOptional }]) => (isOptional ? `${name}?` : name));
}

/** All patterns, as the proxy itself lists them. */
async function patterns(): Promise<GatePattern[]> {
  const proxy = new GateClientProxy({ link: 'memory:' });
  return new Promise((_, reject) => proxy.send('none' as never, {}).subscribe({ error: reject })).catch(
    (error: { details: { allowed: GatePattern[] } }) => error.details.allowed,
  ) as Promise<GatePattern[]>;
}

describe('docs/worker.md', () => {
  it('shows no code that the tests do not run', () => {
    expect(fences.length).toBeGreaterThanOrEqual(10);
    const known = new Set(examples.values());
    expect(fences.filter(({ language, code }) => language !== 'ts' || !known.has(code))).toEqual([]);
  });

  it('shows every example', () => {
    const shown = new Set(fences.map(({ code }) => code));
    expect([...examples].filter(([, code]) => !shown.has(code)).map(([name]) => name)).toEqual([]);
  });

  it('names every option with its default', () => {
    expect(documented('Modules')).toEqual(NODE_DEFAULTS);
    expect(documented('OnTopic')).toEqual(TOPIC_DEFAULTS);
    expect(documented('GateClientProxy')).toEqual(CLIENT_DEFAULTS);
  });

  it('names every pattern with its arguments', async () => {
    const rows = table('GateClientProxy', 'pattern');
    expect(rows.filter(row => row.length !== 3 || row[2] === '')).toEqual([]);
    const written = Object.fromEntries(rows.map(([name, given]) => [namesIn(name)[0], namesIn(given).sort()]));
    const known = await patterns();
    expect(written).toEqual(Object.fromEntries(known.map(name => [name, argumentsOf(name).sort()])));
  });

  it('names every method of Session that goes to the gate', () => {
    const methods = Object.getOwnPropertyNames(Session.prototype).filter(name => /^to[A-Z](?!SON)/.test(name));
    const written = table('Session', 'method').flatMap(([names]) =>
      namesIn(names).map(name => name.replace(/\(.*/, '')),
    );
    expect(written.sort()).toEqual(methods.sort());
  });

  it('names error codes that exist', () => {
    const codes = [
      ...table('GateClientProxy', 'code').flatMap(([code]) => namesIn(code)),
      ...namesIn(sectionOf('Errors')),
    ];
    const upper = codes.filter(code => /^[A-Z_]+$/.test(code));
    expect(upper.length).toBeGreaterThanOrEqual(15);
    expect(upper.filter(code => !isErrorCode(code))).toEqual([]);
  });

  it('links to sections and pages that exist', () => {
    const anchor = (title: string): string =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-');
    const anchorsOf = (text: string) => Array.from(text.matchAll(/^## (.+)$/gm), match => anchor(match[1] as string));
    const links = Array.from(page.matchAll(/\]\(([\w.]*)(?:#([\w-]+))?\)/g), ([, file, section]) => ({
      file,
      section,
    }));
    expect(links.length).toBeGreaterThanOrEqual(10);
    for (const { file, section } of links) {
      const sections = anchorsOf(file ? read(`docs/${file}`) : page);
      if (section) expect(sections).toContain(section);
    }
  });
});
