import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { read, tableOf } from '../support/docs-support.js';

const codesIn = (text: string): string[] => Array.from(text.matchAll(/`([^`\n]+)`/g), ([, code = '']) => code);
const sources = readdirSync('libs', { recursive: true, encoding: 'utf8' })
  .filter(file => /^\w+\/src\/.*\.ts$/.test(file) && !file.endsWith('.spec.ts'))
  .map(file => read(join('libs', file)));
const declares = (name: string, text: string): boolean =>
  new RegExp(`(class|interface|type|function|const) ${name}\\b`).test(text);

describe('docs/architecture.md', () => {
  const page = read('docs/architecture.md');

  it('names no file that does not exist', () => {
    const files = codesIn(page).filter(code => /^(libs|apps|test|scripts)\//.test(code));
    expect(files.length).toBeGreaterThan(100);
    expect(files.filter(file => !existsSync(file))).toEqual([]);
  });

  it('names for each component the file that defines it', () => {
    const rows = tableOf(page, 'component');
    expect(rows.length).toBeGreaterThan(50);
    const wrong = rows.filter(([component = '', file = '', responsibility]) => {
      const [name] = codesIn(component);
      return responsibility === '' || (name !== undefined && !declares(name, read(codesIn(file)[0] ?? '')));
    });
    expect(wrong).toEqual([]);
  });
});

describe('docs/glossary.md', () => {
  const page = read('docs/glossary.md');
  const rows = Array.from(page.matchAll(/^\| (.+?) +\| (.+?) +\| (.+?) +\|$/gm), ([, ...cells]) => cells).filter(
    ([term]) => term !== 'term' && !term?.startsWith('-'),
  );

  it('defines each term once, with a class or type that exists', () => {
    expect(rows.length).toBeGreaterThan(60);
    const terms = rows.map(([term]) => term);
    expect(terms.filter((term, index) => terms.indexOf(term) !== index)).toEqual([]);
    const names = rows.flatMap(([, , implementedBy = '']) => codesIn(implementedBy));
    expect(names.length).toBeGreaterThanOrEqual(rows.length);
    expect(names.filter(name => !sources.some(text => declares(name, text)))).toEqual([]);
  });
});
