/**
 * Finds the programs that the tests need, and installs what is missing where it can: with apt, as root. No npm package
 * ships these binaries.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What the tests need: by which names it may be found, the variable that may name it, and its Debian package. */
export const TOOLS = {
  chromium: { names: ['chromium', 'chromium-browser', 'google-chrome'], variable: 'CHROMIUM_PATH', pkg: 'chromium' },
  nats: { names: ['nats-server'], variable: 'NATS_SERVER', pkg: 'nats-server' },
  haproxy: { names: ['haproxy'], variable: 'HAPROXY', pkg: 'haproxy' },
  nginx: { names: ['nginx'], variable: 'NGINX', pkg: 'nginx-light' },
  redis: { names: ['redis-server'], variable: 'REDIS_SERVER', pkg: 'redis-server' },
};

/** Directories beside PATH where Debian puts servers. */
const EXTRA_DIRECTORIES = ['/usr/sbin', '/usr/local/sbin'];

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function findTool({ names, variable }) {
  const named = process.env[variable];
  if (named) return isExecutable(named) ? named : undefined;
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...EXTRA_DIRECTORIES];
  return names.flatMap(name => directories.map(directory => join(directory, name))).find(isExecutable);
}

function run(command, args) {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: environment }).status === 0;
}

/** Puts the path of each tool into its variable. Throws when one is missing and cannot be installed here. */
export function ensureTools() {
  const missing = Object.values(TOOLS).filter(tool => !findTool(tool));
  const packages = missing.map(tool => tool.pkg).join(' ');
  if (missing.length > 0 && process.getuid?.() === 0 && findTool({ names: ['apt-get'] })) {
    console.log(`Installing with apt: ${packages}`);
    run('apt-get', ['update', '-qq']);
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing.map(tool => tool.pkg)]);
  }
  for (const tool of Object.values(TOOLS)) {
    const path = findTool(tool);
    if (!path) {
      throw new Error(
        `The tests need ${tool.names.join(' or ')}. As root: apt-get install ${packages}. ` +
          `Elsewhere install it your way, and put it on PATH or name it in ${tool.variable}.`,
      );
    }
    process.env[tool.variable] = path;
  }
}
