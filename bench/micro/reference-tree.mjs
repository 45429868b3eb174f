import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the repository's own packages are linked to from `node_modules`. */
const OWN_SCOPES = { '@nestgate': 'libs', '@nestgate-app': 'apps' };
const BUILD_MS = 300_000;

/** @param {string} program @param {readonly string[]} args @param {string} cwd @param {Buffer} [input] */
function run(program, args, cwd, input) {
  const result = spawnSync(program, args, { cwd, input, timeout: BUILD_MS, maxBuffer: 2 ** 30 });
  if (result.status !== 0) {
    const said = [result.stdout, result.stderr, result.error].filter(Boolean).map(String).join('');
    throw new Error(`${program} ${args.join(' ')} failed:\n${said}`);
  }
  return result.stdout;
}

/** Another commit of the repository, checked out and built in a temporary directory. */
export class ReferenceTree {
  /**
   * @param {string} repository
   * @param {string} commit
   */
  constructor(repository, commit) {
    /** @readonly */
    this.root = mkdtempSync(join(tmpdir(), 'nestgate-against-'));
    try {
      // Not a worktree: that would leave its mark in the repository when the bench is killed.
      run('tar', ['-x'], this.root, run('git', ['archive', commit], repository));
      this.link(join(repository, 'node_modules'));
      run(process.execPath, [join(repository, 'node_modules/typescript/bin/tsc'), '-b'], this.root);
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  remove() {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** All packages of the repository but its own: those are this tree's. @private @param {string} installed */
  link(installed) {
    const modules = join(this.root, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(installed)) {
      if (!(name in OWN_SCOPES)) symlinkSync(join(installed, name), join(modules, name));
    }
    for (const [scope, directory] of Object.entries(OWN_SCOPES)) {
      mkdirSync(join(modules, scope));
      for (const name of readdirSync(join(this.root, directory))) {
        symlinkSync(join(this.root, directory, name), join(modules, scope, name));
      }
    }
  }
}
