import { execFile } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GatewayApi } from '@nestgate/worker';
import { read, tableOf } from '../support/docs-support.js';
import { isThere } from '../support/programs.js';
import { ALL_KEY, HttpGate } from './http-support.js';

const page = read('docs/operate.md');
const programs = Array.from(page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm), ([, language = '', code = '']) => ({
  language,
  code,
})).filter(({ code }) => code.includes('/nestgate/v1/sendToGroup'));

/** How the example of a language is run, with its text as the last argument. */
const RUNNERS: Readonly<Record<string, readonly [program: string, ...args: string[]]>> = {
  sh: ['sh', '-c'],
  python: ['python3', '-c'],
  php: ['php', '-r'],
};

describe('the examples of docs/operate.md', () => {
  let gate: HttpGate;

  beforeAll(async () => {
    gate = await HttpGate.start('express');
    const client = await gate.connect();
    await gate.app.get(GatewayApi).joinGroup(client.clientId, 'room');
  });
  afterAll(() => gate.close());

  it('are in three languages', () => {
    expect(programs.map(({ language }) => language)).toEqual(['sh', 'python', 'php']);
  });

  // php-cli is not everywhere.
  it.each(programs.filter(({ language }) => isThere(RUNNERS[language]?.[0] ?? language)))(
    'push to a group: $language',
    async ({ language, code }) => {
      const [program, ...args] = RUNNERS[language] ?? [language];
      const text = code.replace('http://127.0.0.1:3000', gate.url).replace(/^<\?php\n/, '');
      const output = await new Promise((resolve, reject) => {
        execFile(
          program,
          [...args, text],
          { env: { ...process.env, NESTGATE_KEY: ALL_KEY } },
          (error, stdout, stderr) => (error ? reject(new Error(stderr || error.message)) : resolve(stdout.trim())),
        );
      });
      expect(output).toBe('{"delivered":1}');
    },
  );
});

describe('docs/operate.md', () => {
  it('names the options of the HTTP API', () => {
    const names = tableOf(page, 'option').map(([name]) => name?.replaceAll('`', ''));
    expect(names).toEqual(['keys', 'guard', 'path', 'maxConcurrent', 'bodyTimeout', 'imports']);
  });
});
