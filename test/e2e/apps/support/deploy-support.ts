import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '@nestgate-app/common';
import { TcpLink } from '@nestgate/link';
import { assertNodeId } from '@nestgate/link/internal';
import { NatsLink } from '@nestgate/link/nats';
import { parseAllDocuments } from 'yaml';

const pathOf = (path: string): string => join(process.cwd(), path);
export const exists = (path: string): boolean => existsSync(pathOf(path));
export const read = (path: string): string => readFileSync(pathOf(path), 'utf8');

/** The documents of a YAML file. Warnings are errors here: they are what a stricter parser would refuse. */
export function loadYaml<T>(path: string, merge = false): T[] {
  const documents = parseAllDocuments(read(path), { merge });
  if ('empty' in documents) throw new Error(`${path} is empty`);
  for (const { errors, warnings } of documents) for (const problem of [...errors, ...warnings]) throw problem;
  return documents.map(document => document.toJS() as T);
}

/** The variables that the apps read, by the source that reads them. */
export function knownVariables(): Set<string> {
  const source = ['config', 'bootstrap', 'auth/jwt-config'].map(file => read(`apps/common/src/${file}.ts`)).join('\n');
  return new Set(
    Array.from(source.matchAll(/(?:env\[|(?:integer|isOn)\(env, )'([A-Z_]+)'/g), match => match[1] as string),
  );
}

/** A number that stands in the source as `const NAME = 1_000;`, or as `name: 1_000,`; the name may be a pattern. */
export function constantOf(path: string, name: string): number {
  const text = new RegExp(`^(?:const ${name} =|  ${name}:) ([\\d_]+)[;,]`, 'm').exec(read(path))?.[1];
  if (text === undefined) throw new Error(`${path} has no ${name}`);
  return Number(text.replaceAll('_', ''));
}

/** Time limit for the leave message of a tcp link, in milliseconds. */
export function linkEndMs(): number {
  const source = read('libs/link/src/drivers/tcp/tcp-channel.ts');
  const times = Array.from(source.matchAll(/^const (?:DRAIN|CLOSE)_MS = ([\d_]+);/gm), match => match[1] as string);
  if (times.length === 0) throw new Error('The tcp link has no end');
  return times.reduce((sum, text) => sum + Number(text.replaceAll('_', '')), 0);
}

/** The app that a container runs; undefined for what is none of ours. */
export function appOf(command: readonly string[] = []): string | undefined {
  const [program, path = ''] = command;
  const app = /^apps\/([a-z]+)\/dist\/main\.js$/.exec(path)?.[1];
  return program === 'node' && app !== undefined && exists(`apps/${app}/src/main.ts`) ? app : undefined;
}

/** A host and port that an app dials. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What the environment of an app amounts to. */
export interface Wiring {
  /** Where it listens for workers. */
  readonly listens: Endpoint | undefined;
  readonly dials: readonly Endpoint[];
}

/**
 * Reads an environment as the app would.
 * @throws {Error} for variables that nobody reads, and for values that an app refuses.
 */
export function wire(app: string, env: Readonly<Record<string, string>>): Wiring {
  const unknown = Object.keys(env).filter(name => !knownVariables().has(name));
  if (unknown.length > 0) throw new Error(`Nobody reads ${unknown.join(', ')}`);
  const { node } = readConfig(env, '');
  if (node.nodeId !== undefined) assertNodeId(node.nodeId);
  const link = node.link as string;
  const storage = env['NESTGATE_STORAGE'];
  const dials = storage === undefined ? [] : [endpointOf(storage)];
  const driver = link.startsWith('nats:')
    ? new NatsLink({ url: link })
    : new TcpLink({ url: link, secret: node.secret });
  if (driver instanceof NatsLink) {
    if (node.secret !== undefined) throw new Error('NATS nodes have no use for NESTGATE_SECRET');
    // The driver looks at its servers when it connects.
    const servers = link.slice('nats://'.length).split(',');
    return { listens: undefined, dials: [...dials, ...servers.map(server => endpointOf(`nats://${server}`))] };
  }
  if (node.secret === undefined) throw new Error(`${link} needs NESTGATE_SECRET`);
  const [first, ...more] = link
    .slice('tcp://'.length)
    .split(',')
    .map(address => endpointOf(`tcp://${address}`));
  if (app === 'gate') return { listens: first, dials };
  return { listens: undefined, dials: [...dials, first as Endpoint, ...more] };
}

function endpointOf(url: string): Endpoint {
  const { hostname, port } = new URL(url);
  if (hostname === '' || port === '') throw new Error(`${url} names no host and port`);
  return { host: hostname, port: Number(port) };
}

/** Patterns of a .dockerignore, as far as they are used: the last one that matches a path, or a folder of it, decides. */
export function isIgnored(path: string, ignoreFile = '.dockerignore'): boolean {
  const steps = path.split('/').map((_step, at, all) => all.slice(0, at + 1).join('/'));
  let ignored = false;
  for (const line of read(ignoreFile).split('\n')) {
    const pattern = line.replace(/^!/, '');
    if (pattern === '' || pattern.startsWith('#')) continue;
    const source = pattern.replace(
      /\*\*\/|[.*]/g,
      part => ({ '**/': '(?:.*/)?', '*': '[^/]*', '.': '\\.' })[part] ?? '',
    );
    if (steps.some(step => new RegExp(`^${source}$`).test(step))) ignored = !line.startsWith('!');
  }
  return ignored;
}
