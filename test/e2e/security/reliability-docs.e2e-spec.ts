import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { read, tableOf } from '../support/docs-support.js';

const page = read('docs/reliability.md');
const FAULTS = 'test/faults';
/** What is promised; the others are named, and not promised. */
const PROMISED = ['P1', 'P2', 'P4', 'P5', 'P6', 'P8', 'P9', 'P10', 'P11', 'P13', 'P14'];
const NOT_PROMISED = ['P3', 'P7', 'P12'];

/** What a cell says in code, one by one. */
const codesIn = (cell = ''): string[] => Array.from(cell.matchAll(/`([^`]+)`/g), ([, code = '']) => code);
const filesIn = (text: string): string[] => codesIn(text).filter(code => code.startsWith('test/'));

describe('docs/reliability.md', () => {
  it('shows each promise by tests that exist, with a figure', () => {
    const rows = tableOf(page, 'promise');
    expect(rows.map(([promise]) => promise)).toEqual(PROMISED);
    for (const [promise, what, tests, figure] of rows) {
      expect([promise, what !== '', filesIn(tests ?? '').length > 0, figure !== '']).toEqual([
        promise,
        true,
        true,
        true,
      ]);
    }
    for (const promise of NOT_PROMISED) expect(page).toContain(`**${promise}**`);
  });

  it('names no file that is not there', () => {
    const files = [...filesIn(page), ...Array.from(page.matchAll(/\]\((?!http|#)([^)#]+)/g), ([, to]) => `docs/${to}`)];
    expect(files.length).toBeGreaterThan(PROMISED.length);
    expect(files.filter(file => !existsSync(join(process.cwd(), file)))).toEqual([]);
  });

  it('names every fault that is tested', () => {
    const named = new Set(filesIn(tableOf(page, 'fault').flat().join(' ')));
    const tested = readdirSync(join(process.cwd(), FAULTS)).filter(file => file.endsWith('.faults-spec.ts'));
    // What checks the ledgers is no fault.
    const checkers = new Set(['ledger.faults-spec.ts', 'balance.faults-spec.ts']);
    expect(tested.filter(file => !checkers.has(file) && !named.has(`${FAULTS}/${file}`))).toEqual([]);
  });

  it('gives every limit with the default that it has, a unit, and a counter that there is', () => {
    const counters = new Set(
      Array.from(read('libs/gate/src/gate-counters.ts').matchAll(/^ {2}\| '(\w+)'/gm), ([, name]) => name),
    );
    const defaults = resolveGateOptions() as unknown as Record<string, unknown>;
    const rows = tableOf(page, 'limit');
    expect(rows.length).toBeGreaterThan(10);
    for (const [limit, option, value, unit, counter] of rows) {
      const [name = ''] = codesIn(option);
      const written = name === 'maxConnections' ? 'by the system' : `\`${JSON.stringify(defaults[name])}\``;
      expect([limit, name in defaults, value?.replaceAll("'", '"')]).toEqual([limit, true, written]);
      if (typeof defaults[name] === 'number') expect([limit, unit]).not.toEqual([limit, '']);
      const [counted] = codesIn(counter);
      expect([limit, counted === undefined || counters.has(counted)]).toEqual([limit, true]);
    }
  });

  it('gives what no option changes as it stands in the sources', () => {
    const rows = tableOf(page, 'bound');
    expect(rows.length).toBeGreaterThan(3);
    for (const [bound, value = '', unit, where] of rows) {
      const [file = '', constant = ''] = (codesIn(where)[0] ?? '').split('#');
      const found = new RegExp(`const ${constant} = ([\\d_]+);`).exec(read(file))?.[1];
      expect([bound, value, unit !== '']).toEqual([bound, `\`${found?.replaceAll('_', '')}\``, true]);
    }
  });
});
