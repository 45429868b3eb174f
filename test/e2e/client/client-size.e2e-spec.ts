import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';

const run = promisify(execFile);
/** What a page pays for `connect` with the JSON codec. */
const MOST_BYTES = 8 * 1024;
const MOST_SHARED_BYTES = 12 * 1024;

interface Bundle {
  readonly text: string;
  /** The files that it is made of. */
  readonly inputs: string[];
  readonly warnings: string;
}

/** A bundle of this code, as a page has it. In a process: the API of esbuild does not run in the realm of Jest. */
async function bundle(code: string): Promise<Bundle> {
  // Within the repository, so that its packages are found.
  const folder = mkdtempSync(join('node_modules', '.bundle-'));
  try {
    writeFileSync(join(folder, 'in.mjs'), code);
    const files = [
      join(folder, 'in.mjs'),
      `--outfile=${join(folder, 'out.js')}`,
      `--metafile=${join(folder, 'meta.json')}`,
    ];
    const options = [
      '--bundle',
      '--minify',
      '--format=esm',
      '--platform=browser',
      '--target=es2022',
      '--log-level=warning',
    ];
    const { stdout, stderr } = await run(join('node_modules', '.bin', 'esbuild'), [...files, ...options]);
    const { inputs } = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8')) as { inputs: object };
    return {
      text: readFileSync(join(folder, 'out.js'), 'utf8'),
      inputs: Object.keys(inputs).filter(input => !input.startsWith('node_modules/.bundle-')),
      warnings: stdout + stderr,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the client in a bundle', () => {
  it('takes 8 KB at most, minified and compressed', async () => {
    const { text } = await bundle(`export { connect } from '@nestgate/client';`);
    const bytes = gzipSync(text, { level: 9 }).length;
    console.log(`@nestgate/client: connect takes ${bytes} bytes`);
    expect(bytes).toBeLessThanOrEqual(MOST_BYTES);
    // It is the client.
    expect(text).toContain('$gate/');
  });

  it('takes 12 KB at most with a connection that tabs share', async () => {
    const { text } = await bundle(`export { connectShared } from '@nestgate/client/share';`);
    const bytes = gzipSync(text, { level: 9 }).length;
    console.log(`@nestgate/client/share: connectShared takes ${bytes} bytes`);
    expect(bytes).toBeLessThanOrEqual(MOST_SHARED_BYTES);
  });

  it('has no package of others, nothing of Node, and nothing that a strict Content-Security-Policy forbids', async () => {
    for (const entry of ['', '/frame', '/share', '/testing'].map(path => `@nestgate/client${path}`)) {
      const { text, inputs, warnings } = await bundle(`export * from '${entry}';`);
      expect(warnings).toBe('');
      expect(inputs.filter(input => !/^libs\/(client|protocol)\/dist\//.test(input))).toEqual([]);
      expect(text).not.toMatch(/\beval\b|new Function|node:|\brequire\(/);
    }
  });

  it('is nothing when nothing of it is used', async () => {
    const { text } = await bundle(`import { whenOnline } from '@nestgate/client';`);
    expect(text.trim()).toBe('');
  });
});
