import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ESBUILD = fileURLToPath(new URL('../../node_modules/.bin/esbuild', import.meta.url));
const OPTIONS = ['--bundle', '--minify', '--format=esm', '--platform=browser', '--target=es2022', '--log-level=error'];

/**
 * Bytes of what a page loads for this code: bundled and minified by esbuild, and compressed by gzip.
 * @param {string} code
 * @throws {Error} when it cannot be bundled
 */
export function bundleSize(code) {
  const { status, stdout, stderr } = spawnSync(ESBUILD, OPTIONS, { cwd: ROOT, input: code, maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`esbuild: ${stderr.toString()}`);
  return gzipSync(stdout, { level: 9 }).length;
}
