import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect } from '@nestgate/client';
import { waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import type { ai } from '../../examples/ai-chat/src/ai.contract.js';
import {
  APP_PACKAGES,
  COMPILER_TEST_MS,
  installedVersion,
  OutsideProject,
  REPOSITORY,
} from './support/outside-project.js';

/** How long the app may take to compile and to start, in milliseconds. */
const START_MS = 60_000;

describe('a copy of examples/ai-chat', () => {
  let project: OutsideProject;

  beforeAll(async () => {
    project = await OutsideProject.create();
    await project.install('npm', Object.fromEntries(APP_PACKAGES.map(name => [name, installedVersion(name)])));
    cpSync(join(REPOSITORY, 'examples/ai-chat'), join(project.root, 'ai-chat'), {
      recursive: true,
      filter: path => !['dist', 'node_modules'].includes(basename(path)),
    });
  }, COMPILER_TEST_MS);
  afterAll(() => project.remove());

  /** What a reader of the page does, with a connection that is lost in the middle of the answer. */
  async function useApp(url: string): Promise<void> {
    const page = await (await fetch(url)).text();
    expect(page).toContain('<title>AI chat</title>');
    for (const script of ['dist/page.js', 'client/index.js']) {
      const answer = await fetch(`${url}/${script}`);
      expect([script, answer.status, answer.headers.get('content-type')]).toEqual([
        script,
        200,
        expect.stringContaining('javascript'),
      ]);
    }

    const sockets: WebSocket[] = [];
    class Watched extends WebSocket {
      constructor(address: string, protocols: string[]) {
        super(address, protocols);
        sockets.push(this);
      }
    }
    const gate = connect<typeof ai>(`${url.replace('http', 'ws')}/gate`, { WebSocket: Watched as never });
    let text = '';
    for await (const token of gate.stream('ai/ask', { prompt: 'how are you?' })) {
      text += token;
      if (text.endsWith(' 20 ')) sockets.at(-1)?.terminate();
    }
    gate.close();
    expect(sockets.length).toBeGreaterThanOrEqual(2);
    expect(text.trimEnd().split(' ').slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => `${i + 1}`));
  }

  it(
    'starts as its README says, serves its page, and streams an answer over a lost connection',
    async () => {
      const app = project.spawn('npm', ['start'], { cwd: join(project.root, 'ai-chat'), env: { PORT: '0' } });
      let output = '';
      for (const printed of [app.stdout, app.stderr]) printed?.on('data', text => (output += String(text)));
      const stopped = once(app, 'close');
      try {
        const port = await waitUntil(
          'the app to start',
          () => {
            if (app.exitCode !== null) throw new Error(output);
            return /Open http:\/\/.*:(\d+)/.exec(output)?.[1];
          },
          START_MS,
        );
        await useApp(`http://127.0.0.1:${port}`);
      } finally {
        // npm passes it on; what it has started would outlive a SIGKILL.
        app.kill('SIGTERM');
        await stopped;
      }
    },
    COMPILER_TEST_MS,
  );
});
