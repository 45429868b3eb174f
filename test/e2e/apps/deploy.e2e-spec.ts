import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { resolveGateOptions } from '@nestgate/gate';
import { freePort, waitUntil } from '@nestgate/testing';
import { appOf, exists, isIgnored, knownVariables, loadYaml, read } from './support/deploy-support.js';
import { AppProcess } from '../support/app-process.js';

const PACKAGE = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
const APPS = ['gate', 'worker', 'chat'];

/** Instructions of the Dockerfile, with the stage they stand in. */
interface Instruction {
  readonly stage: number;
  readonly name: string;
  readonly rest: string;
}

function instructions(): Instruction[] {
  const lines = read('deploy/Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter(line => line.trim() !== '');
  let stage = -1;
  return lines.map(line => {
    const [, name = '', rest = ''] = /^([A-Z]+) +(.+)$/.exec(line) ?? [];
    if (name === 'FROM') stage++;
    return { stage, name, rest };
  });
}

const all = instructions();
const ofName = (name: string): Instruction[] => all.filter(instruction => instruction.name === name);
const stages = ofName('FROM').map(({ rest }) => / AS ([a-z]+)$/.exec(rest)?.[1]);
const last = stages.length - 1;
const inLast = (name: string): string | undefined => ofName(name).findLast(({ stage }) => stage === last)?.rest;

describe('deploy/Dockerfile', () => {
  it('has instructions that Docker knows', () => {
    const known = new Set(['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'EXPOSE', 'HEALTHCHECK', 'CMD']);
    expect(all.filter(({ name }) => !known.has(name))).toEqual([]);
    expect(all[0]?.name).toBe('FROM');
  });

  it('builds on the official image of Node, by its name alone, of a version that the packages want', () => {
    const images = new Set(ofName('FROM').map(({ rest }) => rest.split(' ')[0] as string));
    expect([...images]).toEqual([expect.stringMatching(/^node:(2[2-9]|[3-9]\d)-slim$/)]);
  });

  it('copies what is there, what .dockerignore lets through, and from stages that come before', () => {
    const copies = ofName('COPY').map(({ stage, rest }) => {
      const from = /^--from=(\S+) /.exec(rest)?.[1];
      return {
        stage,
        from,
        sources: rest
          .replace(/^--\S+ /, '')
          .split(' ')
          .slice(0, -1),
      };
    });
    const isBefore = (from: string, stage: number) => stages.slice(0, stage).includes(from);
    expect(copies.filter(({ stage, from }) => from !== undefined && !isBefore(from, stage))).toEqual([]);
    const sources = copies.filter(({ from }) => from === undefined).flatMap(copy => copy.sources);
    expect(sources.length).toBeGreaterThan(5);
    expect(sources.filter(path => !exists(path) || isIgnored(path))).toEqual([]);
  });

  it('sends sources to the build, but no secrets, tests, builds or history', () => {
    const [sent, kept] = [
      ['libs/gate/src/gate.ts', 'libs/gate/package.json', 'apps/chat/web/public/index.html', 'tsconfig.base.json'],
      ['.git', '.env', 'deploy/.env', 'libs/gate/.env.local', 'node_modules/ws', 'libs/gate/node_modules/x'],
    ];
    expect(sent.filter(path => isIgnored(path) || !exists(path))).toEqual([]);
    const more = [
      'libs/gate/dist/index.js',
      'libs/link/src/wire/codec.spec.ts',
      'test/e2e',
      'deploy/docker-compose.yml',
    ];
    expect([...kept, ...more].filter(path => !isIgnored(path))).toEqual([]);
    expect(read('deploy/.gitignore').split('\n')).toContain('.env');
    expect(read('.npmrc')).not.toMatch(/_auth|_password|token/i);
  });

  it('runs npm with what package.json has, and installs what the apps need', () => {
    const runs = ofName('RUN').map(({ rest }) => rest);
    const scripts = runs.flatMap(run => Array.from(run.matchAll(/npm run (\S+)/g), match => match[1] as string));
    expect(scripts).toEqual(['build']);
    expect(scripts.filter(script => !(script in PACKAGE.scripts))).toEqual([]);
    const production = runs.find(run => run.includes('--omit=dev')) ?? '';
    const workspaces = Array.from(production.matchAll(/--workspace=apps\/(\S+)/g), match => match[1]);
    expect(workspaces.toSorted()).toEqual(APPS.toSorted());
    expect(workspaces.filter(app => !exists(`apps/${app}/src/main.ts`))).toEqual([]);
  });

  it('leaves out no package that the apps import', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { dev?: boolean }> };
    const roots = [
      'libs/admin',
      'libs/protocol',
      'libs/contract',
      'libs/link',
      'libs/worker',
      'libs/gate',
      ...APPS.map(app => `apps/${app}`),
    ];
    const imports = [...roots, 'apps/handlers', 'apps/common'].flatMap(root =>
      importsOf(`${root}/src`).map(name => ({ root, name })),
    );
    expect(imports.map(({ name }) => name)).toContain('@nats-io/transport-node');
    // npm puts a package beside who imports it where another version is at the top.
    const installed = ({ root, name }: (typeof imports)[number]) =>
      packages[`${root}/node_modules/${name}`] ?? packages[`node_modules/${name}`];
    expect(imports.filter(each => installed(each)?.dev ?? !installed(each))).toEqual([]);
  });

  it('starts an app without a shell, as nobody special, with variables that it reads', () => {
    expect(appOf(JSON.parse(inLast('CMD') ?? '[]') as string[])).toBe('gate');
    expect(inLast('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const names = Array.from((inLast('ENV') ?? '').matchAll(/(?:^|\s)(\w+)=/g), match => match[1] as string);
    expect(names).toContain('NESTGATE_OPS_PORT');
    expect(names.filter(name => !name.startsWith('NODE_') && !knownVariables().has(name))).toEqual([]);
    expect(inLast('HEALTHCHECK')).toMatch(/ CMD \["node", "healthcheck\.mjs"\]$/);
    expect(ofName('COPY').at(-1)?.rest).toBe('deploy/healthcheck.mjs ./');
  });
});

describe('deploy/healthcheck.mjs', () => {
  let app: AppProcess | undefined;

  afterEach(() => app?.end());

  const check = async (port: number, ...path: string[]): Promise<unknown> => {
    const { PATH } = process.env;
    const env = { PATH, PORT: '1', NESTGATE_OPS_PORT: String(port) };
    const child = spawn(process.execPath, ['deploy/healthcheck.mjs', ...path], { env });
    return ((await once(child, 'exit')) as [number])[0];
  };

  it('ends with 0 while the app can serve, with 1 while it drains and when it is gone', async () => {
    const port = await freePort();
    app = await AppProcess.start({ NESTGATE_OPS_PORT: String(port) });
    expect(await check(port)).toBe(0);
    expect(await check(port, '/health/ready')).toBe(0);
    expect(await check(port, '/health/none')).toBe(1);
    const client = await app.connect();
    client.ask('echo/slow', { ms: 2_500 });
    await client.request('$gate/ping');
    app.signal('SIGTERM');
    await waitUntil('the app to drain', async () => (await check(port)) === 1);
    expect(client.closedWith).toBeUndefined();
    await app.exitWithin(15_000);
    expect(await check(port)).toBe(1);
    expect(await check(await freePort())).toBe(1);
  });
});

describe('docs/deploy.md', () => {
  const page = read('docs/deploy.md');

  it('has a row for every variable that the apps read, and for no other', () => {
    const rows = Array.from(page.matchAll(/^\| `([A-Z_]+)`/gm), match => match[1] as string);
    expect(rows.toSorted()).toEqual([...knownVariables()].toSorted());
  });

  it('gives options the defaults that they have', () => {
    const defaults = resolveGateOptions() as unknown as Record<string, unknown>;
    const told = Array.from(
      page.matchAll(/`(\w+)` \((\d+)\)/g),
      match => [match[1] as string, Number(match[2])] as const,
    );
    expect(told.length).toBeGreaterThanOrEqual(6);
    expect(told.filter(([name, value]) => defaults[name] !== value)).toEqual([]);
    const options = Array.from(page.matchAll(/`((?:trusted|max|slow)[A-Z]\w+)`/g), match => match[1] as string);
    expect(options.filter(name => !(name in defaults))).toEqual([]);
  });

  it('names files that are there', () => {
    const paths = Array.from(page.matchAll(/\b(?:deploy|apps|docs)\/[\w./-]*\w/g), match => match[0]);
    expect(paths.length).toBeGreaterThan(8);
    expect(
      [...new Set(paths)].filter(path => path !== 'deploy/.env' && !exists(path) && path !== 'deploy/gate'),
    ).toEqual([]);
    const pages = Array.from(page.matchAll(/\]\((\w+\.md)(?:#[\w-]+)?\)/g), match => `docs/${match[1]}`);
    expect(pages.filter(path => !exists(path))).toEqual([]);
  });

  it.each(['nats', 'tcp'])('makes the Secret that deploy/kubernetes/%s needs', variant => {
    const [secret] = loadYaml<{ metadata: { name: string; namespace: string }; stringData: object }>(
      `deploy/kubernetes/${variant}/secret.template.yaml`,
    );
    const { name, namespace } = secret?.metadata ?? { name: '', namespace: '' };
    const [, command = ''] =
      new RegExp(`^(kubectl -n ${namespace} create secret generic ${name} [^]*?)\\nkubectl`, 'm').exec(page) ?? [];
    const keys = Array.from(command.matchAll(/--from-literal=([\w-]+)="\$\(openssl/g), match => match[1]);
    expect(keys).toEqual(expect.arrayContaining(Object.keys(secret?.stringData ?? {})));
  });

  it.each(['docker-compose.yml', 'docker-compose.tcp.yml'])('writes the variables that %s asks for', file => {
    const asked = new Set(Array.from(read(`deploy/${file}`).matchAll(/\$\{(\w+):\?/g), match => match[1] as string));
    const line = /^printf '(.*)'/m.exec(page)?.[1] ?? '';
    const written = new Set(Array.from(line.matchAll(/([A-Z_]+)=/g), match => match[1]));
    expect(asked.size).toBeGreaterThan(0);
    expect([...asked].filter(name => !written.has(name))).toEqual([]);
  });
});

/** The packages from elsewhere that the sources of a folder import, types aside. */
function importsOf(folder: string): string[] {
  const files = readdirSync(join(process.cwd(), folder), { recursive: true, encoding: 'utf8' });
  const sources = files.filter(file => file.endsWith('.ts') && !file.endsWith('.spec.ts'));
  return sources.flatMap(file => {
    const text = read(`${folder}/${file}`);
    const names = Array.from(
      text.matchAll(/^(?:import (?!type )|export (?!type )|\} )(?:.*from )?'([^'.][^']*)';$/gm),
      match => (/^(?:@[^/]+\/)?[^/]+/.exec(match[1] as string) as RegExpExecArray)[0],
    );
    return names.filter(name => !name.startsWith('node:') && !builtinModules.includes(name));
  });
}
