import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { GatewayApi } from '@nestgate/worker';
import { examplesOf, fencesOf, read, tableOf } from '../support/docs-support.js';
import { COST_CALLS, CostMeter, SYMBOLS } from './support/gateway-cost-support.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

/** The functions of GatewayWorker's `Gateway` that have a method here. */
const SOURCE = [
  ...'SendToClient SendToCurrentClient SendToAll SendToUID SendToGroup'.split(' '),
  ...'BindUID UnbindUID JoinGroup LeaveGroup Ungroup SetSession UpdateSession GetSession'.split(' '),
  ...'CloseClient CloseCurrentClient DestroyClient DestroyCurrentClient IsOnline IsUidOnline'.split(' '),
  ...'GetAllClientCount GetClientCountByGroup GetUidCountByGroup GetAllUidCount'.split(' '),
  ...'GetAllGroupClientIdCount GetAllGroupUidCount GetAllClientSessions GetClientSessionsByGroup'.split(' '),
  ...'GetAllClientIdList GetClientIdListByGroup GetClientIdByUid GetClientIdByUids GetUidListByGroup'.split(' '),
  ...'GetAllUidList GetUidByClientId GetAllGroupIdList GetAllGroupUidList GetAllGroupClientIdList'.split(' '),
];
const GATEWAY = 'libs/worker/src/gateway';

const page = read('docs/gateway-api.md');

const rows = tableOf(page, 'source').map(
  ([source = '', method = '', does = '', waits = '', messages = '', gates = '']) => ({
    source: source.replaceAll('`', ''),
    name: /^`(\w+)\(/.exec(method)?.[1] ?? method,
    does,
    waits,
    messages,
    gates,
  }),
);
const variants = tableOf(page, 'call').map(([call = '', messages = '', gates = '']) => ({
  name: call.replaceAll('`', ''),
  messages,
  gates,
}));

/** The public methods: those on the prototypes, without what the sources call private or protected. */
function methods(): string[] {
  const names = new Set<string>();
  for (
    let type = GatewayApi.prototype as object;
    type !== Object.prototype;
    type = Object.getPrototypeOf(type) as object
  ) {
    for (const name of Object.getOwnPropertyNames(type)) names.add(name);
  }
  names.delete('constructor');
  const sources = readdirSync(GATEWAY)
    .filter(file => file.startsWith('gateway-'))
    .map(file => read(`${GATEWAY}/${file}`));
  for (const [, name] of sources.join('\n').matchAll(/^ {2}(?:private|protected) (?:async |get )?(\w+)/gm)) {
    names.delete(name as string);
  }
  return [...names].sort();
}

/** A figure such as `m·G` or `G+o` with numbers for its symbols; of two figures the second is for links without channels. */
function figure(cell: string, hasChannels: boolean): number {
  const [withChannels = '', without = withChannels] = cell.replaceAll('`', '').split(' / ');
  const terms = (hasChannels ? withChannels : without).split('+');
  return terms.reduce(
    (sum, term) => sum + term.split('·').reduce((product, factor) => product * numberOf(factor), 1),
    0,
  );
}

function numberOf(factor: string): number {
  const value = SYMBOLS[factor] ?? Number(factor);
  if (Number.isNaN(value)) throw new Error(`No such figure: ${factor}`);
  return value;
}

describe('docs/gateway-api.md', () => {
  it('has a row for every method, and for nothing else', () => {
    expect(rows.map(row => row.name).sort()).toEqual(methods());
    expect(rows.filter(row => row.does === '')).toEqual([]);
  });

  it('has every function of the source under its own name', () => {
    expect(rows.flatMap(row => (row.source === '–' ? [] : row.source)).sort()).toEqual([...SOURCE].sort());
    const renamed = rows.filter(({ source, name }) => source !== '–' && source.toLowerCase() !== name.toLowerCase());
    expect(renamed).toEqual([]);
  });

  it('shows the code that the tests run, all of it and no other', () => {
    const fences = fencesOf(page).map(({ language, code }) => [language, code]);
    const examples = Array.from(examplesOf(read('test/e2e/gateway/support/gateway-examples.ts')).values(), code => [
      'ts',
      code,
    ]);
    expect(examples.length).toBeGreaterThan(5);
    expect(fences.sort()).toEqual(examples.sort());
  });

  it('links to what exists', () => {
    const anchors = (text: string) =>
      new Set(
        Array.from(text.matchAll(/^## (.+)$/gm), match => (match[1] as string).toLowerCase().replaceAll(' ', '-')),
      );
    for (const [, file = '', anchor] of page.matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)) {
      const target = file === '' ? page : read(`docs/${file}`);
      expect([...anchors(target)]).toContain(anchor);
    }
    for (const [path] of page.matchAll(/(?<=`)(?:test|bench)\/[\w./-]+(?=[`\s])/g)) expect(existsSync(path)).toBe(true);
  });

  describe.each(LINKS)('over %s', (link: LinkName) => {
    it('says of every method whether it waits, and what it costs', async () => {
      const links = await LinkSupply.open(link);
      const meter = await CostMeter.open(links);
      const hasChannels = link !== 'tcp';
      try {
        const expected = [...rows, ...variants].map(({ name, messages, gates, ...rest }) => ({
          name,
          messages: figure(messages, hasChannels),
          gates: figure(gates, hasChannels),
          waits: !('waits' in rest && rest.waits === 'no') && !/ with (?:ids|several)/.test(name),
        }));
        const actual: unknown[] = [];
        for (const { name } of expected) {
          const call = COST_CALLS[name];
          if (!call) throw new Error(`Nothing is known of ${name}`);
          actual.push({ name, ...(await meter.measure(call)) });
        }
        expect(actual).toEqual(expected);
      } finally {
        await meter.close();
        await links.close();
      }
    });
  });
});
