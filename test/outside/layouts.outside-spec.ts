import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FakeClient, freePort, NatsProcess } from '@nestgate/testing';
import { OutsideApp } from './support/outside-app.js';
import {
  APP_PACKAGES,
  COMPILER_TEST_MS,
  installedVersion,
  LIBS,
  OutsideProject,
  REPOSITORY,
} from './support/outside-project.js';
import { expectChat } from './support/talk.js';

const isLong = process.env['NESTGATE_OUTSIDE'] === 'long';
const BASE = { module: 'nodenext', target: 'es2022', strict: true, skipLibCheck: false, types: ['node'] };
const DECORATORS = { experimentalDecorators: true, emitDecoratorMetadata: true };
const RESOLUTIONS = [
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'node16', moduleResolution: 'node16' },
  { module: 'esnext', moduleResolution: 'bundler' },
].slice(0, isLong ? undefined : 1);
/** Makes the port that an example names a free one. */
const ANY_PORT = `import { Server } from 'node:net';
const { listen } = Server.prototype;
Server.prototype.listen = function (port, ...rest) {
  this.once('listening', () => console.log('listening on ' + this.address().port));
  return listen.call(this, port === 3000 || port === 3001 ? 0 : port, ...rest);
};
`;

/** The first block of this language below a heading. */
function block(markdown: string, heading: string, language: string): string {
  const below = markdown.slice(markdown.indexOf(`\n## ${heading}\n`));
  const [, code] = new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(below) ?? [];
  if (!code) throw new Error(`There is no ${language} block below ${heading}`);
  return code;
}

/** npm lays all packages into one folder; pnpm's strict layout lets a package see what it declares. */
const MANAGERS = isLong ? (['npm', 'pnpm'] as const) : (['npm'] as const);

describe.each(MANAGERS)('installed with %s', manager => {
  let project: OutsideProject;

  beforeAll(async () => {
    project = await OutsideProject.create();
    await project.install(manager, Object.fromEntries(APP_PACKAGES.map(name => [name, installedVersion(name)])));
    for (const type of ['module', 'commonjs'] as const) project.lay(type, type);
    const readme = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
    project.write('module/src/readme.ts', block(readme, 'An example', 'ts'));
    // The command line has no code to import.
    for (const lib of LIBS.filter(name => name !== 'cli')) {
      project.write(
        `module/src/readme-${lib}.ts`,
        block(project.read(`node_modules/@nestgate/${lib}/README.md`), 'Example', 'ts'),
      );
    }
    project.write('any-port.mjs', ANY_PORT);
    const options = { ...BASE, ...DECORATORS, skipLibCheck: true, rootDir: 'src', outDir: 'dist' };
    for (const type of ['module', 'commonjs']) {
      project.write(`${type}/tsconfig.json`, { compilerOptions: options, include: ['src'] });
    }
    await Promise.all(['module', 'commonjs'].map(folder => project.bin('tsc', ['-p', 'tsconfig.json'], folder)));
  }, 400_000);

  afterAll(() => project?.remove());

  it.each(RESOLUTIONS)(
    'types pass without skipLibCheck: $moduleResolution',
    async resolution => {
      const compilerOptions = { ...BASE, ...DECORATORS, ...resolution, noEmit: true };
      project.write('module/tsconfig.check.json', { compilerOptions, include: ['src'] });
      await project.bin('tsc', ['-p', 'tsconfig.check.json'], 'module');
    },
    COMPILER_TEST_MS,
  );

  it('runs the example of the README, word by word', async () => {
    const app = await OutsideApp.start(project, 'module', ['--import', '../any-port.mjs', 'dist/readme.js']);
    const client = await FakeClient.connect(app.url);
    const readme = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
    const [, sent] = /ws\.send\('(.*)'\)/.exec(readme) ?? [];
    const [, answer] = /^\/\/ (\{"id":1.*\})$/m.exec(readme) ?? [];
    client.sendRaw(sent as string);
    expect(await client.answer(1)).toEqual(JSON.parse(answer as string));
    expect(app.output).not.toMatch(/ERROR|ExperimentalWarning/);
    await client.close();
    await app.stop();
  });

  it('runs the examples of the packages that end by themselves', async () => {
    for (const lib of ['protocol', 'contract', 'link', 'testing']) {
      const { output } = await project.node([`dist/readme-${lib}.js`], 'module');
      if (lib === 'testing') expect(output).toContain("{ text: 'hi' }");
    }
  });

  it.each(['module', 'commonjs'])('one process: %s', async folder => {
    const app = await OutsideApp.start(project, folder, ['dist/main.js']);
    await expectChat(app.url, app.port);
    expect(await app.stop()).toBe('SIGTERM');
  });

  it('a cluster of tests whose handlers cannot start lets its process end', async () => {
    project.write(
      'module/failing.mjs',
      `import { createTestCluster } from '@nestgate/testing';
      const fail = () => {
        throw new Error('The handlers are broken');
      };
      const handlers = { providers: [{ provide: 'broken', useFactory: fail }] };
      await createTestCluster({ workers: 1, handlers }).catch(error => console.log(error.message));`,
    );
    const { output } = await project.node(['failing.mjs'], 'module');
    expect(output.trim()).toBe('The handlers are broken');
  });

  it('two copies of a package are named', async () => {
    project.write('two/main.js', "import '@nestgate/gate';\nimport '@nestgate/worker';\n");
    project.write('two/package.json', { type: 'module' });
    // As a package manager lays it that could not share one.
    project.copyPackage('@nestgate/worker', 'two/node_modules/@nestgate/worker');
    const { output } = await project.node(['main.js'], 'two');
    expect(output).toContain('2 copies of @nestgate/worker are loaded');
    expect(output).toContain(join('two', 'node_modules', '@nestgate', 'worker'));
  });

  it.each(['tcp', 'nats'])('a gate and a worker over %s', async kind => {
    const nats = kind === 'nats' ? await NatsProcess.start() : undefined;
    try {
      const env = { LINK: nats ? `nats://127.0.0.1:${nats.port}` : `tcp://127.0.0.1:${await freePort()}` };
      // One as an ES module and one as CommonJS: the wire is the same.
      const [gate, worker] = await Promise.all([
        OutsideApp.start(project, 'module', ['dist/main.js'], { ...env, APP: 'gate' }),
        OutsideApp.start(project, 'commonjs', ['dist/main.js'], { ...env, APP: 'worker' }),
      ]);
      await expectChat(gate.url, gate.port);
      expect(await Promise.all([gate.stop(), worker.stop()])).toEqual(['SIGTERM', 'SIGTERM']);
    } finally {
      await nats?.end();
    }
  });
});
