import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FakeClient, freePort, waitUntil } from '@nestgate/testing';
import { LIBS, OutsideProject, REPOSITORY } from './support/outside-project.js';

/** The page promises less, installs included; a machine that does other things too takes longer. */
const PAGE_MS = 600_000;

/** A step of the page: a file that it shows, or commands. */
type Step = { readonly file: string; readonly code: string } | { readonly commands: readonly string[] };

/** The steps of the page, in their order. */
function stepsOf(page: string): Step[] {
  const blocks = page.matchAll(/(?:^`(src\/[\w.-]+)`:\n\n)?^```(\w+)\n([\s\S]*?)^```$/gm);
  return Array.from(blocks, ([, file, language, code = '']) => {
    if (file !== undefined) return { file, code };
    if (language !== 'sh') throw new Error(`A block of ${language} that is no file:\n${code}`);
    return { commands: code.trimEnd().split('\n') };
  });
}

describe('docs/getting-started.md', () => {
  let project: OutsideProject;

  beforeAll(async () => {
    project = await OutsideProject.create();
  });
  afterAll(() => project?.remove());

  /** The packages come from their tarballs. */
  const withTarballs = (command: string): string =>
    LIBS.reduce((line, lib) => line.replace(`@nestgate/${lib}`, project.tarball(lib)), command);

  it(
    'can be followed word by word, in an empty folder',
    async () => {
      const [port, link] = [await freePort(), await freePort()];
      const url = `http://127.0.0.1:${port}`;
      let folder = 'empty';
      let client: FakeClient | undefined;
      project.write('empty/.keep', '');

      /** What the page has the reader see in a browser. */
      async function connect(): Promise<FakeClient> {
        await waitUntil(
          'the app to listen',
          async () => (await fetch(url).catch(() => undefined))?.ok === true,
          60_000,
        );
        expect(await (await fetch(url)).text()).toContain('new WebSocket');
        const login = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"ada"}' };
        const { token } = (await (await fetch(`${url}/login`, login)).json()) as { token: string };
        await expect(FakeClient.connect(`ws://127.0.0.1:${port}/gate?token=x`)).rejects.toMatchObject({ status: 401 });
        const ada = await FakeClient.connect(`ws://127.0.0.1:${port}/gate?token=${encodeURIComponent(token)}`);
        expect(await ada.request('chat/join', { room: 'lobby' })).toEqual({ you: 'ada', members: 1 });
        ada.send('chat/say', { room: 'lobby', text: 'hello' });
        expect((await ada.push('chat/said')).body).toEqual({ from: 'ada', text: 'hello' });
        return ada;
      }

      /** A command that stays: what `npm run` stands for is started itself, so that it can be ended. */
      function start(command: string): void {
        const script = /^npm run ([\w:]+)$/.exec(command)?.[1];
        const { scripts } = JSON.parse(project.read(join(folder, 'package.json'))) as {
          scripts: Record<string, string>;
        };
        const [program = '', ...args] = (script ? (scripts[script] ?? '') : command).split(' ');
        project.spawn(program, args, { cwd: join(project.root, folder), env: { PORT: String(port) } });
      }

      async function follow(command: string): Promise<void> {
        if (command.startsWith('cd ')) {
          folder = join(folder, command.slice(3));
        } else if (command.startsWith('node ') && command.endsWith(' &')) {
          start(command.slice(0, -2));
        } else if (command.startsWith('node ') || command === 'npm run start:prod') {
          start(command);
          client = await connect();
        } else if (command.startsWith('curl ')) {
          await project.shell(command.replace('localhost:3000', `127.0.0.1:${port}`));
          expect((await client?.push('chat/news'))?.body).toEqual({ text: 'hello' });
        } else {
          // What ran before is in the way of what comes.
          client?.socket.terminate();
          await project.endAll();
          await project.shell(withTarballs(command), folder);
        }
      }

      for (const step of stepsOf(readFileSync(join(REPOSITORY, 'docs/getting-started.md'), 'utf8'))) {
        // The link on a port of this test's own, so that it can run beside others.
        if ('file' in step) project.write(join(folder, step.file), step.code.replaceAll(':7400', `:${link}`));
        else for (const command of step.commands) await follow(command);
      }
    },
    PAGE_MS,
  );
});
