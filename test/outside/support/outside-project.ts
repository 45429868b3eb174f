import { type ChildProcess, execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export const REPOSITORY = resolve(import.meta.dirname, '../../..');
export const LIBS = ['protocol', 'client', 'contract', 'link', 'worker', 'gate', 'testing', 'cli', 'admin'] as const;
const FIXTURE = join(REPOSITORY, 'test/outside/project');
/** A command that takes longer hangs: installs over a slow network take the longest. */
const COMMAND_MS = 300_000;

/**
 * A layout in which a package sees what it declares, and nothing else. The types of `@nestjs/core` 12 name a package that it does
 * not declare.
 */
const PNPM_SETTINGS = `nodeLinker: isolated
hoist: false
minimumReleaseAge: 0
packageExtensions:
  '@nestjs/core':
    dependencies:
      '@standard-schema/spec': '*'
`;

/** What an app needs beside the packages themselves, in the versions that this repository has installed. */
export const APP_PACKAGES = [
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/microservices',
  '@nestjs/platform-express',
  '@nestjs/platform-ws',
  '@nestjs/testing',
  '@nestjs/websockets',
  '@nats-io/transport-node',
  '@types/node',
  'class-transformer',
  'class-validator',
  'ioredis',
  'reflect-metadata',
  'rxjs',
  'typescript',
] as const;

/** The exact version of a package that this repository has installed, so that installs come from the cache. */
export function installedVersion(name: string): string {
  const manifest = readFileSync(join(REPOSITORY, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** Compilers take the longest on a busy machine. */
export const COMPILER_TEST_MS = 240_000;

/** What a command printed, on both streams. */
export interface Ran {
  readonly output: string;
}

/** A fresh project in a temporary folder, which has the packed packages installed as a user's project has. */
export class OutsideProject {
  private readonly children = new Set<ChildProcess>();

  private constructor(readonly root: string) {}

  /** Makes the folder with the tarballs of all packages in `tarballs/`. */
  static async create(): Promise<OutsideProject> {
    const project = new OutsideProject(mkdtempSync(join(tmpdir(), 'nestgate-outside-')));
    try {
      mkdirSync(join(project.root, 'tarballs'));
      const workspaces = LIBS.flatMap(lib => ['--workspace', `libs/${lib}`]);
      await project.run('npm', ['pack', ...workspaces, '--pack-destination', join(project.root, 'tarballs')], {
        cwd: REPOSITORY,
      });
      return project;
    } catch (error) {
      await project.remove();
      throw error;
    }
  }

  /** The tarball of a package, as a path. */
  tarball(lib: string): string {
    const folder = join(this.root, 'tarballs');
    const name = readdirSync(folder).find(file => file.startsWith(`nestgate-${lib}-`));
    if (!name) throw new Error(`npm packed no ${lib}`);
    return join(folder, name);
  }

  /** Installs the tarballs and these packages. */
  async install(manager: 'npm' | 'pnpm', packages: Readonly<Record<string, string>>): Promise<void> {
    const own = Object.fromEntries(LIBS.map(lib => [`@nestgate/${lib}`, `file:${this.tarball(lib)}`]));
    this.write('package.json', { name: 'outside', private: true, dependencies: { ...own, ...packages } });
    if (manager === 'npm') {
      await this.run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']);
      return;
    }
    this.write('pnpm-workspace.yaml', PNPM_SETTINGS);
    const pnpm = join(REPOSITORY, 'node_modules/.bin/pnpm');
    await this.run(pnpm, ['install', '--prefer-offline', '--ignore-scripts', '--no-frozen-lockfile']);
  }

  /** Lays the fixture's files into a folder of the project, which has the module format that `type` names. */
  lay(folder: string, type: 'module' | 'commonjs'): void {
    cpSync(FIXTURE, join(this.root, folder), { recursive: true });
    this.write(join(folder, 'package.json'), { name: folder, private: true, type });
  }

  /** Copies an installed package to another folder of the project. */
  copyPackage(name: string, to: string): void {
    cpSync(join(this.root, 'node_modules', name), join(this.root, to), { recursive: true, dereference: true });
  }

  write(path: string, content: string | object): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), 'utf8');
  }

  /** Runs a program of the project (`node_modules/.bin`), in one of its folders. Rejects with what it printed when it fails. */
  bin(name: string, args: readonly string[], folder = '.', env: NodeJS.ProcessEnv = {}): Promise<Ran> {
    return this.run(join(this.root, 'node_modules/.bin', name), args, { cwd: join(this.root, folder), env });
  }

  /** Runs Node with these arguments, in one of its folders. Rejects with what it printed when it fails. */
  node(args: readonly string[], folder = '.'): Promise<Ran> {
    return this.run(process.execPath, args, { cwd: join(this.root, folder) });
  }

  /** Starts a program and returns its process. It is ended with the project at the latest. */
  spawn(command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
    const { NODE_OPTIONS: _, ...inherited } = process.env;
    const child = execFile(command, args, {
      cwd: options.cwd ?? this.root,
      env: { ...inherited, CI: 'true', NO_COLOR: '1', ...options.env },
      maxBuffer: 64 * 1024 * 1024,
    });
    this.children.add(child);
    child.on('close', () => this.children.delete(child));
    return child;
  }

  /** Runs a line of a shell in one of its folders. Rejects with what it printed when it fails. */
  shell(line: string, folder = '.', env: NodeJS.ProcessEnv = {}): Promise<Ran> {
    return this.run('sh', ['-c', line], { cwd: join(this.root, folder), env });
  }

  /** Ends what runs, and waits until it has ended. */
  async endAll(): Promise<void> {
    await Promise.all(
      [...this.children].map(child => {
        const closed = new Promise(done => child.once('close', done));
        child.kill('SIGKILL');
        return closed;
      }),
    );
  }

  async remove(): Promise<void> {
    await this.endAll();
    rmSync(this.root, { recursive: true, force: true });
  }

  private async run(
    command: string,
    args: readonly string[],
    options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
  ): Promise<Ran> {
    const child = this.spawn(command, args, options);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text: string) => (output += text));
    const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_MS);
    const status = await new Promise<number | null>((done, fail) => {
      child.on('error', fail);
      child.on('close', done);
    });
    clearTimeout(timer);
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${output}`);
    return { output };
  }
}
