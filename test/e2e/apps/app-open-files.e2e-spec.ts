import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

describe('an app that may open only a few files', () => {
  it.each(['chat', 'gate', 'worker'])('%s says so in one line, and does not start', app => {
    const main = fileURLToPath(new URL(`../../../apps/${app}/dist/main.js`, import.meta.url));
    const { status, stdout, stderr } = spawnSync(
      'sh',
      ['-c', `ulimit -n 256 && exec "$0" "$@"`, process.execPath, main],
      {
        encoding: 'utf8',
        env: { PATH: process.env.PATH, PORT: '0' },
      },
    );
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: 'nestgate: 256 open files are too few, 400 is the least: raise ulimit -n\n',
    });
  });
});
