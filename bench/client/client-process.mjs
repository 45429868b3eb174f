import { fileURLToPath } from 'node:url';
import { ManagedProcess } from '../harness/managed-process.mjs';

const DRIVER = fileURLToPath(new URL('./driver.mjs', import.meta.url));
const PATIENCE_MS = 120_000;

/** What a driver sends. @typedef {{ ready?: true, online?: true, result?: any, error?: string }} Message */

/** A client in a process of its own. */
export class ClientProcess {
  /** @param {string} program Node @param {string} adapter @param {string} host @param {number} [core] */
  constructor(program, adapter, host, core) {
    /** @private @readonly */
    this.process = new ManagedProcess({ name: adapter, program, args: [DRIVER, adapter, host], core, ipc: true });
    /** @private @readonly */
    this.isReady = this.next('ready', PATIENCE_MS);
  }

  /**
   * Has the driver measure this.
   * @param {{ what: 'connects' | 'pushes', count: number, warm?: number }} task
   * @returns {Promise<any>}
   */
  async measure(task) {
    await this.isReady;
    const result = this.next('result', PATIENCE_MS);
    this.process.child.send(task);
    return (await result).result;
  }

  /** Has the client connect, and stay. */
  async stay() {
    await this.isReady;
    const online = this.next('online', PATIENCE_MS);
    this.process.child.send({ what: 'stay' });
    await online;
  }

  /**
   * How long it takes until the client is online again.
   * @param {number} limitMs
   * @returns {Promise<number>} milliseconds, or `Infinity` when it takes longer
   */
  async back(limitMs) {
    const startedAt = performance.now();
    return this.next('online', limitMs).then(
      () => performance.now() - startedAt,
      () => Infinity,
    );
  }

  /** Neither code nor timers of it run until `wake`. */
  sleep() {
    process.kill(this.process.pid, 'SIGSTOP');
  }

  wake() {
    process.kill(this.process.pid, 'SIGCONT');
  }

  end() {
    return this.process.end();
  }

  /**
   * @private
   * @param {keyof Message} key
   * @param {number} limitMs
   * @returns {Promise<Message>} the next message that has this
   */
  next(key, limitMs) {
    return new Promise((resolve, reject) => {
      const { child } = this.process;
      /** @param {Message} message */
      const listen = message => {
        if (message.error !== undefined) fail(message.error);
        else if (key in message) {
          stop();
          resolve(message);
        }
      };
      /** @param {string} why */
      const fail = why => {
        stop();
        reject(new Error(`${this.process.name}: ${why}\n${this.process.output}`));
      };
      const exit = () => fail('has ended');
      const timer = setTimeout(fail, limitMs, `no "${key}" within ${limitMs} ms`);
      const stop = () => {
        clearTimeout(timer);
        child.off('message', listen).off('exit', exit);
      };
      child.on('message', listen).on('exit', exit);
    });
  }
}
