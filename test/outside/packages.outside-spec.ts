import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LIBS, OutsideProject, REPOSITORY } from './support/outside-project.js';

interface Manifest {
  readonly version: string;
  readonly main: string;
  readonly types: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { optional: boolean }>>;
}

const tool = (name: string): string => join(REPOSITORY, 'node_modules/.bin', name);

describe('the tarballs', () => {
  let project: OutsideProject;

  beforeAll(async () => {
    project = await OutsideProject.create();
    for (const lib of LIBS) {
      mkdirSync(join(project.root, lib));
      execFileSync('tar', ['-xzf', project.tarball(lib), '-C', join(project.root, lib), '--strip-components=1']);
    }
  });

  afterAll(() => project?.remove());

  const manifestOf = (lib: string): Manifest => JSON.parse(project.read(`${lib}/package.json`)) as Manifest;

  it.each(LIBS)('%s has what a package has, and nothing of its build or tests', lib => {
    const files = readdirSync(join(project.root, lib), { recursive: true }) as string[];
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts']));
    expect(files.filter(file => /\.tsbuildinfo$|\.spec\./.test(file))).toEqual([]);
    expect(project.read(`${lib}/LICENSE`)).toBe(readFileSync(join(REPOSITORY, 'LICENSE'), 'utf8'));
    const readme = project.read(`${lib}/README.md`);
    for (const part of [`# @nestgate/${lib}\n`, '## Install', 'npm install', '## Example', '## Documentation']) {
      expect(readme).toContain(part);
    }
  });

  it.each(LIBS)('%s: source maps lead to files of the tarball', lib => {
    const dist = join(project.root, lib, 'dist');
    const maps = (readdirSync(dist, { recursive: true }) as string[]).filter(file => file.endsWith('.map'));
    const missing = maps.filter(file => {
      const { sources } = JSON.parse(readFileSync(join(dist, file), 'utf8')) as { sources: string[] };
      return sources.some(source => !readFileSync(join(dist, file, '..', source), 'utf8'));
    });
    expect([maps.length > 0, missing]).toEqual([true, []]);
  });

  it.each(LIBS)('%s: the packages are peers of each other, in a range that takes fixes', lib => {
    const { version, dependencies = {}, peerDependencies = {} } = manifestOf(lib);
    expect(Object.keys(dependencies).filter(name => name.startsWith('@nestgate/'))).toEqual([]);
    for (const [name, range] of Object.entries(peerDependencies)) {
      if (name.startsWith('@nestgate/')) expect(range).toBe(`^${version}`);
    }
  });

  it.each(LIBS)('%s declares every package that its code and its types import', lib => {
    const { dependencies = {}, peerDependencies = {} } = manifestOf(lib);
    const declared = new Set([`@nestgate/${lib}`, ...Object.keys(dependencies), ...Object.keys(peerDependencies)]);
    const dist = join(project.root, lib, 'dist');
    const files = (readdirSync(dist, { recursive: true }) as string[]).filter(file => /\.(js|d\.ts)$/.test(file));
    const imported = new Set<string>();
    for (const file of files) {
      const code = readFileSync(join(dist, file), 'utf8');
      for (const [, name] of code.matchAll(/^(?:import|export) [^;]*?from ['"]((?:@[^/'"]+\/)?[^./'"][^/'"]*)/gm)) {
        if (name && !name.startsWith('node:')) imported.add(name);
        // A package without types of its own has them in another one.
        if (name === 'ws' && file.endsWith('.d.ts')) imported.add('@types/ws');
      }
    }
    expect([...imported].filter(name => !declared.has(name))).toEqual([]);
  });

  it('what is imported always is no optional peer', () => {
    const { peerDependencies, peerDependenciesMeta } = manifestOf('gate');
    expect(peerDependencies).toMatchObject({ '@nestjs/websockets': '^12.0.0', '@nestjs/platform-ws': '^12.0.0' });
    expect(peerDependencies?.['ioredis']).toBe('>=5');
    expect(peerDependenciesMeta).toEqual({ ioredis: { optional: true } });
  });

  it.each(['README.md', 'libs/gate/README.md', 'libs/worker/README.md'])('%s installs all that is needed', file => {
    const named =
      readFileSync(join(REPOSITORY, file), 'utf8')
        .match(/(?<=^npm install ).+/gm)
        ?.join(' ')
        .split(' ') ?? [];
    const libs = LIBS.filter(lib => named.includes(`@nestgate/${lib}`));
    const needed = libs.flatMap(lib => {
      const { peerDependencies = {}, peerDependenciesMeta = {} } = manifestOf(lib);
      return Object.keys(peerDependencies).filter(name => !peerDependenciesMeta[name]?.optional);
    });
    expect([libs.length > 0, needed.filter(name => !named.includes(name))]).toEqual([true, []]);
  });

  it.each(LIBS)('%s: publint finds nothing', lib => {
    execFileSync(tool('publint'), ['run', project.tarball(lib), '--strict'], { encoding: 'utf8' });
  });

  it.each(LIBS)('%s: attw finds nothing', lib => {
    // The packages are ES modules only, as Nest 12 is: CommonJS loads them with `require`, which Node has since 20.19.
    const rules = ['--ignore-rules', 'cjs-resolves-to-esm'];
    execFileSync(tool('attw'), [project.tarball(lib), ...rules], { encoding: 'utf8' });
  });
});
