import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.mjs';
import { ManagedProcess } from './managed-process.mjs';
import { cpuTimes, hasProc, residentBytes } from './process-meter.mjs';

const ROOT = new URL('../../', import.meta.url);
/** What each server loads first. */
const CONTROL = 'control.mjs';
/** What apps and peers print when they can be reached. */
const PRINTED_PORT = /\/\/localhost:(\d+)\//;
/** Where what belongs to the bench itself is. */
const PEERS = 'bench/';
const BROKER_MS = 10_000;
const USAGE_MS = 10_000;

/**
 * @typedef {object} Usage
 * @property {number} busyMs CPU time so far
 * @property {number} rss bytes
 * @property {number} heapUsed bytes, after a collection where the process can be told to do one
 */

/** The servers of one measurement: all fresh, all on one core, all gone at its end. */
export class Stage {
  /**
   * @param {object} options
   * @param {number | undefined} options.core
   * @param {string} [options.root] the repository whose apps are started; this one unless told otherwise
   * @param {string} [options.program] Node for each server; that of this process unless told otherwise
   * @param {readonly string[]} [options.nodeArgs] for each server
   * @param {readonly string[]} [options.preloads] modules of this directory that each server loads first
   */
  constructor({ core, root = fileURLToPath(ROOT), program = process.execPath, nodeArgs = [], preloads = [] }) {
    /** @private @readonly */
    this.root = root;
    /** @private @readonly */
    this.program = program;
    /** @private @readonly */
    this.core = core;
    const imports = [CONTROL, ...preloads].flatMap(file => ['--import', new URL(file, import.meta.url).href]);
    /** @private @readonly */
    this.nodeArgs = [...nodeArgs, ...imports];
    /** @private @readonly @type {ManagedProcess[]} */
    this.processes = [];
    /** @private @readonly */
    this.directory = mkdtempSync(join(tmpdir(), 'nestgate-bench-'));
    /** @private @readonly */
    this.clean = () => rmSync(this.directory, { recursive: true, force: true });
    process.on('exit', this.clean);
    /** A port that nobody uses yet. @readonly */
    this.freePort = freePort;
  }

  /** All processes, brokers included. */
  get pids() {
    return this.processes.map(child => child.pid);
  }

  /** What each process that runs Node says about itself. @returns {Promise<(Usage & { name: string })[]>} */
  async usage() {
    return /** @type {(Usage & { name: string })[]} */ (await this.ask('usage'));
  }

  /** Has each process that runs Node watch its event loop. */
  async watchLoops() {
    await this.ask('watch');
  }

  /** The longest standstill of an event loop since then, in milliseconds, in whichever process it was. */
  async longestStall() {
    const stalls = /** @type {(object & { ms: number })[]} */ (/** @type {unknown} */ (await this.ask('stall')));
    return Math.max(...stalls.map(({ ms }) => ms));
  }

  /** What all processes have used so far: from the system, or from themselves where that does not tell. */
  async used() {
    if (hasProc()) return { busyMs: cpuTimes(this.pids).busyMs, rss: residentBytes(this.pids) };
    const usages = await this.usage();
    const sum = (/** @type {'busyMs' | 'rss'} */ key) => usages.reduce((total, usage) => total + usage[key], 0);
    return { busyMs: sum('busyMs'), rss: sum('rss') };
  }

  /**
   * Starts a script of the repository, and waits until it says what `ready` expects.
   * @param {string} script from the root of its repository
   * @param {Readonly<Record<string, string | undefined>>} [env]
   * @param {RegExp} [ready]
   * @returns {Promise<number>} the port that it has printed, 0 for none
   */
  async node(script, env = {}, ready = PRINTED_PORT) {
    const root = script.startsWith(PEERS) ? fileURLToPath(ROOT) : this.root;
    const args = [...this.nodeArgs, join(root, script)];
    const server = this.start({ name: script, program: this.program, args, env, ipc: true });
    const [, port] = await server.whenPrinted(ready);
    return Number(port ?? 0);
  }

  /** Starts a NATS server. @returns {Promise<string>} its URL */
  async nats() {
    const port = await freePort();
    await this.broker(process.env.NATS_SERVER ?? 'nats-server', ['-a', '127.0.0.1', '-p', String(port)], port);
    return `nats://127.0.0.1:${port}`;
  }

  /** Starts a Redis server that keeps nothing. @returns {Promise<string>} its URL */
  async redis() {
    const port = await freePort();
    const args = ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'];
    await this.broker(process.env.REDIS_SERVER ?? 'redis-server', args, port);
    return `redis://127.0.0.1:${port}`;
  }

  /** Ends all processes. */
  async end() {
    await Promise.all(this.processes.map(child => child.end()));
    process.off('exit', this.clean);
    this.clean();
  }

  /**
   * Asks each process that runs Node.
   * @param {string} question that `control.mjs`, or what is loaded with it, knows
   * @returns {Promise<(object & { name: string })[]>}
   */
  async ask(question) {
    const servers = this.processes.filter(({ child }) => child.connected);
    return Promise.all(
      servers.map(async ({ name, child }) => {
        const answered = once(child, 'message', { signal: AbortSignal.timeout(USAGE_MS) });
        child.send(question);
        const [{ answer }] = await answered;
        return Object.assign(answer, { name });
      }),
    );
  }

  /** @private @param {import('./managed-process.mjs').ProcessPlan} plan */
  start(plan) {
    const child = new ManagedProcess({ ...plan, core: this.core });
    this.processes.push(child);
    return child;
  }

  /** @private @param {string} program @param {readonly string[]} args @param {number} port */
  async broker(program, args, port) {
    const path = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin`;
    const child = this.start({ name: program, program, args, cwd: this.directory, env: { PATH: path } });
    const end = Date.now() + BROKER_MS;
    while (!(await accepts(port))) {
      if (child.over !== undefined || Date.now() > end) {
        throw new Error(`${program} ${child.over ?? 'does not start'}:\n${child.output}`);
      }
      await new Promise(resolve => setTimeout(resolve, 10));
    }
  }
}

/** Whether something accepts connections. @param {number} port @returns {Promise<boolean>} */
function accepts(port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
