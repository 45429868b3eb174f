import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { OutsideApp } from './support/outside-app.js';
import { APP_PACKAGES, COMPILER_TEST_MS, installedVersion, OutsideProject } from './support/outside-project.js';
import { expectChat } from './support/talk.js';

/** Builders and test runners that this repository does not use itself, or uses in another way. */
const TOOLS = {
  '@nestjs/cli': '^12.0.0',
  '@swc/cli': '^0.8.0',
  '@types/jest': '^30.0.0',
  '@types/supertest': '^7.0.0',
  'fork-ts-checker-webpack-plugin': '^9.1.0',
  supertest: '^7.2.0',
  'ts-jest': '^29.4.0',
  'ts-loader': '^9.5.4',
  'tsconfig-paths-webpack-plugin': '^4.2.0',
  'unplugin-swc': '^1.5.0',
  // The newest one that runs on Node 20.
  vitest: '^4.0.0',
  webpack: '^5.105.0',
  'webpack-node-externals': '^3.0.0',
};
const SWC = {
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true },
    keepClassNames: true,
  },
  sourceMaps: true,
};
const COMPILER_OPTIONS = {
  module: 'nodenext',
  target: 'es2022',
  strict: true,
  skipLibCheck: true,
  sourceMap: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  rootDir: 'src',
  outDir: 'dist',
  types: ['node'],
};
/** What is the same for both transformers of Jest. */
const JEST = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
};
const JEST_TYPES = { ...COMPILER_OPTIONS, rootDir: '.', isolatedModules: true, types: ['node', 'jest'] };
/** Imports name the file that the compiler writes, as Node wants it. */
const WEBPACK = `module.exports = options => ({
  ...options,
  resolve: { ...options.resolve, extensionAlias: { '.js': ['.ts', '.js'] } },
});
`;
const VITEST = `import swc from 'unplugin-swc';
import { defineConfig } from 'vitest/config';
export default defineConfig({
  test: { globals: true, include: ['test/*.spec.ts'] },
  // The compiler of Vitest writes no metadata of decorators.
  plugins: [swc.vite({ module: { type: 'es6' } })],
});
`;

describe('with the tools of other projects', () => {
  let project: OutsideProject;

  beforeAll(async () => {
    project = await OutsideProject.create();
    const names = [...APP_PACKAGES, '@jest/globals', '@swc/core', '@swc/jest', 'jest'];
    const versions = Object.fromEntries(names.map(name => [name, installedVersion(name)]));
    await project.install('npm', { ...versions, ...TOOLS });
  }, 400_000);

  afterAll(() => project?.remove());

  it.each([
    ['tsc', 'module'],
    ['tsc', 'commonjs'],
    ['swc', 'module'],
    ['swc', 'commonjs'],
    ['webpack', 'commonjs'],
  ] as const)(
    'nest build with %s: %s',
    async (builder, type) => {
      const folder = `nest-${builder}-${type}`;
      project.lay(folder, type);
      project.write(`${folder}/nest-cli.json`, { sourceRoot: 'src', compilerOptions: { builder, deleteOutDir: true } });
      project.write(`${folder}/tsconfig.json`, { compilerOptions: COMPILER_OPTIONS, include: ['src'] });
      project.write(`${folder}/.swcrc`, { ...SWC, module: { type: type === 'module' ? 'es6' : 'commonjs' } });
      if (builder === 'webpack') {
        // It leaves packages out of its bundle that are in the folder's own node_modules.
        symlinkSync(join(project.root, 'node_modules'), join(project.root, folder, 'node_modules'));
        project.write(`${folder}/webpack.config.js`, WEBPACK);
      }
      await project.bin('nest', ['build'], folder);
      const app = await OutsideApp.start(project, folder, ['dist/main.js']);
      await expectChat(app.url, app.port);
      expect(await app.stop()).toBe('SIGTERM');
    },
    COMPILER_TEST_MS,
  );

  it.each([
    ['ts-jest', ['ts-jest', { useESM: true, tsconfig: 'tsconfig.json' }]],
    ['@swc/jest', ['@swc/jest', { ...SWC, module: { type: 'es6' } }]],
  ])(
    'the tests of an app with jest and %s',
    async (name, transformer) => {
      const folder = `jest-${name.replace(/\W/g, '')}`;
      project.lay(folder, 'module');
      project.write(`${folder}/tsconfig.json`, { compilerOptions: JEST_TYPES, include: ['src', 'test'] });
      project.write(`${folder}/jest.config.json`, { ...JEST, transform: { '^.+\\.ts$': transformer } });
      const { output } = await project.bin('jest', [], folder, { NODE_OPTIONS: '--experimental-vm-modules' });
      expect(output).toMatch(/Tests: +3 passed, 3 total/);
    },
    COMPILER_TEST_MS,
  );

  it(
    'the tests of an app with vitest',
    async () => {
      project.lay('vitest', 'module');
      project.write('vitest/tsconfig.json', { compilerOptions: JEST_TYPES, include: ['src', 'test'] });
      project.write('vitest/.swcrc', SWC);
      project.write('vitest/vitest.config.mts', VITEST);
      const { output } = await project.bin('vitest', ['run'], 'vitest');
      expect(output).toMatch(/Tests +3 passed \(3\)/);
    },
    COMPILER_TEST_MS,
  );
});
