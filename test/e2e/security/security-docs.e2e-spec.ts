import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { read, tableOf } from '../support/docs-support.js';

const page = read('SECURITY.md');

/** The cells of the table of threats. */
const rows = tableOf(page, 'threat');
const namesIn = (text = ''): string[] => Array.from(text.matchAll(/`([^`]+)`/g), match => match[1] as string);

const list = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' });
const tests = new Set([
  ...list('test/e2e').map(file => file.replace(/^.*\//, '').replace(/\.e2e-spec\.ts$/, '')),
  ...[...list('libs'), ...list('apps')]
    .filter(file => file.includes('/src/') && file.endsWith('.spec.ts'))
    .map(file => file.replace(/^.*\//, '').replace(/\.ts$/, '')),
]);

describe('SECURITY.md', () => {
  it('names for every threat a defence, its default and tests that exist', () => {
    expect(rows.length).toBeGreaterThanOrEqual(20);
    expect(rows.filter(row => row.length !== 4 || row.includes(''))).toEqual([]);
    const missing = rows.flatMap(([, , , names]) => namesIn(names)).filter(name => !tests.has(name));
    expect(missing).toEqual([]);
    expect(rows.filter(([, , , names]) => namesIn(names).length === 0)).toEqual([]);
  });

  it('names options with the defaults that they have', () => {
    const defaults = resolveGateOptions() as unknown as Record<string, unknown>;
    const told = Array.from(page.matchAll(/`(\w+)` (\d+)/g), ([, name = '', value]) => [name, Number(value)] as const);
    const ofGate = told.filter(([name]) => name in defaults);
    expect(ofGate.length).toBeGreaterThanOrEqual(8);
    expect(ofGate.filter(([name, value]) => defaults[name] !== value)).toEqual([]);
  });

  it('says how to report a hole, and what is not defended', () => {
    for (const title of ['Reporting', 'What is trusted', 'Threats and defences', 'What it does not do']) {
      expect(page).toContain(`\n## ${title}\n`);
    }
    expect(page).toMatch(/Report a vulnerability/);
  });
});
