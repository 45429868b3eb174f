import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** How long a process may take to say that it is ready, in milliseconds. */
const READY_MS = 20_000;
/** How much of what a process writes is kept for the error that it may come to. */
const KEPT_OUTPUT = 64_000;

// Each process listens for the end of this one.
process.setMaxListeners(100);

/**
 * @typedef {object} ProcessPlan
 * @property {string} name for error messages
 * @property {string} program
 * @property {readonly string[]} args
 * @property {number} [core] where it runs; anywhere when undefined
 * @property {Readonly<Record<string, string | undefined>>} [env]
 * @property {string} [cwd]
 * @property {boolean} [ipc] whether it can be talked to
 */

/** A process that the bench has started, and that ends with the bench. */
export class ManagedProcess {
  /** @param {ProcessPlan} plan */
  constructor({ name, program, args, core, env, cwd, ipc = false }) {
    const pinned = core === undefined ? [program, ...args] : ['taskset', '-c', String(core), program, ...args];
    /** @readonly */
    this.name = name;
    /** What it has written to both outputs, the last of it. */
    this.output = '';
    /** @readonly */
    this.child = spawn(pinned[0], pinned.slice(1), {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? /** @type {const} */ (['ipc']) : [])],
    });
    /** @private @readonly */
    this.kill = () => void this.child.kill('SIGKILL');
    // Whatever ends the bench ends it too.
    process.on('exit', this.kill);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', text => (this.output = (this.output + text).slice(-KEPT_OUTPUT)));
    }
    /** Why it could not be started, or how it has ended. @type {string | undefined} */
    this.over = undefined;
    this.child.once('error', error => this.onOver(error.message));
    this.child.once('exit', (code, signal) => this.onOver(`ended with ${signal ?? code}`));
  }

  get pid() {
    return this.child.pid ?? 0;
  }

  /**
   * Waits until its output matches.
   * @param {RegExp} pattern
   * @param {number} [ms] how long that may take
   * @throws {Error} when it ends, or takes too long
   */
  async whenPrinted(pattern, ms = READY_MS) {
    const end = Date.now() + ms;
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      if (this.over !== undefined || Date.now() > end) {
        throw new Error(`${this.name} ${this.over ?? 'does not print what is expected'}:\n${this.output}`);
      }
      await new Promise(resolve => setTimeout(resolve, 5));
    }
  }

  async end() {
    if (this.over !== undefined) return;
    const exited = once(this.child, 'exit');
    this.kill();
    await exited;
  }

  /** @private @param {string} how */
  onOver(how) {
    this.over = how;
    process.off('exit', this.kill);
  }
}
