import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A piece of code in a page, with its layout reduced to single spaces. */
export interface Fence {
  readonly language: string;
  readonly code: string;
}

/** A file of the project. */
export function read(path: string): string {
  return readFileSync(join(process.cwd(), path), 'utf8');
}

/** The pieces of code that a page shows. */
export function fencesOf(page: string): Fence[] {
  return Array.from(page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm), ([, language = '', code = '']) => ({
    language,
    code: withoutLayout(code),
  }));
}

/** The examples between the markers of sources that the tests run, by name. */
export function examplesOf(sources: string): Map<string, string> {
  return new Map(
    Array.from(sources.matchAll(/^\/\/ example: (.+)\n([\s\S]*?)^\/\/ end$/gm), ([, name = '', code = '']) => [
      name,
      withoutLayout(code),
    ]),
  );
}

/** The cells of each row of the table whose head begins with this. */
export function tableOf(page: string, head: string): string[][] {
  const rows = new RegExp(`^\\| ${head} .*\\n\\|[ |-]*\\n((?:\\|.*\\n)+)`, 'm').exec(page)?.[1] ?? '';
  return rows
    .trimEnd()
    .split('\n')
    .map(row =>
      row
        .slice(1, -1)
        .split('|')
        .map(cell => cell.trim()),
    );
}

function withoutLayout(code: string): string {
  return code.replace(/\s+/g, ' ').trim();
}
