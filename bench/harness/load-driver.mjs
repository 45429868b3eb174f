import { fileURLToPath } from 'node:url';
import { ManagedProcess } from './managed-process.mjs';

const GENERATOR = fileURLToPath(new URL('../load/generator.mjs', import.meta.url));
/** How long a generator may take for what it is asked, in milliseconds; measuring takes longer by what is measured. */
const COMMAND_MS = 180_000;

/** A generator process, spoken to. */
class Generator {
  /** @param {number | undefined} core */
  constructor(core) {
    /** @private @readonly */
    this.process = new ManagedProcess({
      name: 'generator',
      program: process.execPath,
      args: [GENERATOR],
      core,
      ipc: true,
    });
    /** @private @type {Map<number, (answer: { result?: unknown, failure?: string }) => void>} */
    this.waiting = new Map();
    /** @private */
    this.lastId = 0;
    const { child } = this.process;
    child.on('message', (/** @type {{ id: number, result?: unknown, failure?: string }} */ answer) =>
      this.waiting.get(answer.id)?.(answer),
    );
    child.once('exit', () => {
      for (const settle of this.waiting.values())
        settle({ failure: `The generator has ended:\n${this.process.output}` });
    });
  }

  /**
   * @param {import('../load/generator.mjs').Order['name']} name
   * @param {unknown} [argument]
   * @returns {Promise<unknown>}
   */
  ask(name, argument) {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`The generator does not answer: ${name}`)), COMMAND_MS);
      this.waiting.set(id, ({ result, failure }) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        if (failure === undefined) resolve(result);
        else reject(new Error(failure));
      });
      this.process.child.send({ id, name, argument });
    });
  }

  end() {
    return this.process.end();
  }
}

/** @typedef {import('../load/generator.mjs').LoadReport} LoadReport */

/** The generators of one measurement, as one. */
export class LoadDriver {
  /**
   * @param {import('./cores.mjs').Cores} cores
   * @param {number} processes
   */
  constructor(cores, processes) {
    /** @private @readonly */
    this.generators = Array.from({ length: processes }, (_, index) => new Generator(cores.ofGenerator(index)));
  }

  /**
   * Opens the clients, and does what has to be done before load starts.
   * @param {import('../load/generator.mjs').LoadPlan} plan for all generators together
   */
  async open(plan) {
    const share = Math.ceil(plan.crowd.count / this.generators.length);
    await Promise.all(
      this.generators.map((generator, index) => {
        const first = index * share;
        const crowd = { ...plan.crowd, first, count: Math.min(share, plan.crowd.count - first) };
        // Where few of many clients send, those of the first generator do.
        const isIdle = plan.echo?.active !== undefined && index > 0;
        const echo = plan.echo && !isIdle ? { ...plan.echo, rate: plan.echo.rate / this.generators.length } : undefined;
        return generator.ask('open', { ...plan, crowd, echo });
      }),
    );
  }

  async start() {
    await Promise.all(this.generators.map(generator => generator.ask('start')));
  }

  /**
   * Measures for a while. The first generator also reads what the servers use, at the very moments between which it counts.
   * @param {number} ms
   * @param {readonly number[]} pids
   * @returns {Promise<LoadReport[]>} one of each generator
   */
  async measure(ms, pids) {
    const reports = await Promise.all(
      this.generators.map((generator, index) => generator.ask('measure', { ms, pids: index === 0 ? pids : [] })),
    );
    return /** @type {LoadReport[]} */ (reports);
  }

  /**
   * Cuts all clients, and waits until they are back. For one generator: what the servers use counts until then.
   * @param {readonly number[]} pids
   * @returns {Promise<LoadReport & { refused: number }>}
   */
  async storm(pids) {
    const [generator] = this.generators;
    return /** @type {LoadReport & { refused: number }} */ (await generator.ask('storm', { pids }));
  }

  /** Messages so far, or since the last measurement began. @returns {Promise<number>} */
  async count() {
    const counts = await Promise.all(this.generators.map(generator => generator.ask('count')));
    return /** @type {number[]} */ (counts).reduce((sum, count) => sum + count, 0);
  }

  /** Ends the load. @returns {Promise<number>} how many requests never got an answer */
  async stop() {
    const unanswered = await Promise.all(this.generators.map(generator => generator.ask('stop')));
    return /** @type {number[]} */ (unanswered).reduce((sum, count) => sum + count, 0);
  }

  async end() {
    await Promise.all(this.generators.map(generator => generator.end()));
  }
}
