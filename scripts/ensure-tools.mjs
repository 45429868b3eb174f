/** The programs that the tests need and no npm package ships: where they are, and how they are installed. */
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

/** What some tests use where it is there, and leave out where it is not. Small packages only. */
const EXTRAS = [{ names: ['php'], variable: 'PHP', pkg: 'php-cli' }];

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

function run(command, args, output = 'ignore') {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync(command, args, { stdio: ['ignore', output, 'inherit'], env: environment });
}

function missingTools() {
  return Object.values(TOOLS).filter(tool => !findTool(tool));
}

/**
 * Installs the tools that are missing, with apt, as root. Only `npm run setup` does.
 * @throws when one is missing and cannot be installed here.
 */
export function installTools() {
  const packages = missingTools().map(tool => tool.pkg);
  const extras = EXTRAS.filter(tool => !findTool(tool)).map(tool => tool.pkg);
  if (packages.length + extras.length > 0 && process.getuid?.() === 0 && findTool({ names: ['apt-get'] })) {
    console.log(`Installing with apt: ${[...packages, ...extras].join(' ')}`);
    run('apt-get', ['update', '-qq']);
    // Apart from each other: nothing is installed of a list in which one package is unknown.
    for (const list of [packages, extras]) {
      if (list.length > 0) run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...list]);
    }
  }
  assertTools();
}

function assertTools() {
  const missing = missingTools();
  if (missing.length === 0) return;
  const names = missing.map(tool => tool.names.join(' or ')).join(', ');
  const variables = missing.map(tool => tool.variable).join(', ');
  throw new Error(
    `The tests need ${names}. As root: apt-get install ${missing.map(tool => tool.pkg).join(' ')}. ` +
      `Elsewhere install it your way, and put it on PATH or name it in ${variables}.`,
  );
}

/**
 * Puts the path of each tool into its variable. Runs `npm run setup` first when something is missing.
 * @throws when one is missing all the same.
 */
export function ensureTools() {
  if (missingTools().length > 0) run('npm', ['run', '--silent', 'setup'], 'inherit');
  assertTools();
  for (const tool of Object.values(TOOLS)) process.env[tool.variable] = findTool(tool);
}
