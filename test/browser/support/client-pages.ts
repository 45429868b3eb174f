import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PAGES = 'test/browser/pages';
/** Scripts of this server and sockets to a gate: nothing inline, no eval. */
const POLICY = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src ws:";

export type Bundler = 'esbuild' | 'vite';

/** Bundles a script of `test/browser/pages`, in a process: the APIs of the bundlers do not run in the realm of Jest. */
async function bundle(bundler: Bundler, name: string, folder: string): Promise<void> {
  const tool = join('node_modules', '.bin', bundler);
  const file = join(PAGES, `${name}.ts`);
  const outFile = join(folder, `${name}.js`);
  if (bundler === 'esbuild') {
    const options = ['--bundle', '--minify', '--sourcemap', '--format=esm', '--target=es2022', '--log-level=warning'];
    await run(tool, [file, `--outfile=${outFile}`, ...options]);
    return;
  }
  const config = join(PAGES, 'vite.config.mjs');
  // What this test run needs of Node is nothing for the bundler.
  const env = { ...process.env, NODE_OPTIONS: '', NODE_ENV: 'production' };
  await run(tool, ['build', '--config', config, '--logLevel', 'warn'], {
    env: { ...env, PAGE_ENTRY: join(process.cwd(), file), PAGE_OUT: join(process.cwd(), folder), PAGE_NAME: name },
  });
}

/** Serves pages that use the client, each with one bundled script, under a strict Content-Security-Policy. */
export class ClientPages {
  private constructor(
    private readonly server: Server,
    private readonly folder: string,
  ) {}

  static async start(bundler: Bundler, names: readonly string[]): Promise<ClientPages> {
    // Within the repository, so that its packages are found.
    const folder = mkdtempSync(join('node_modules', '.pages-'));
    for (const name of names) await bundle(bundler, name, folder);
    const server = createServer(({ url = '/' }, response) => {
      const path = new URL(url, 'http://page.test').pathname.slice(1);
      const isScript = path.endsWith('.js') && names.includes(path.slice(0, -3));
      response.setHeader('Content-Security-Policy', POLICY);
      response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
      const html = `<!doctype html><title>-</title><script type="module" src="/${path}.js"></script>`;
      response.end(isScript ? readFileSync(join(folder, path)) : names.includes(path) ? html : '<!doctype html>');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new ClientPages(server, folder);
  }

  /** The address of a page that connects to a gate. */
  url(name: string, gatePort: number): string {
    const { port } = this.server.address() as AddressInfo;
    return `http://127.0.0.1:${port}/${name}?gate=${encodeURIComponent(`ws://127.0.0.1:${gatePort}/gate`)}`;
  }

  /** The source map of a bundle. */
  mapOf(name: string): { readonly sources: string[]; readonly mappings: string } {
    return JSON.parse(readFileSync(join(this.folder, `${name}.js.map`), 'utf8')) as never;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
