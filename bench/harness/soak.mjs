import { setTimeout as delay } from 'node:timers/promises';
import { LoadDriver } from './load-driver.mjs';
import { Stage } from './stage.mjs';
import { ALLOWED, growthOf, grows } from './trend.mjs';

const PER_SECOND = 100;
const BYTES_PER_MB = 2 ** 20;
/** How often memory is looked at, in milliseconds; a short soak looks more often. */
const SAMPLE_MS = 10_000;
const MIN_SAMPLES = 12;

/** @param {number} bytes */
const megabytes = bytes => `${(bytes / BYTES_PER_MB).toFixed(1)} MB`;

/**
 * Memory of one process over time.
 * @typedef {object} Watched
 * @property {string} name
 * @property {number[]} rss
 * @property {number[]} heapUsed
 */

/** Lets clients come and go for a while, and watches the memory of all servers. */
export class Soak {
  /**
   * @param {import('./cores.mjs').Cores} cores
   * @param {string} program Node for the servers
   */
  constructor(cores, program) {
    /** @private @readonly */
    this.cores = cores;
    /** @private @readonly */
    this.program = program;
  }

  /**
   * @param {import('./contenders.mjs').Contender} contender
   * @param {number} seconds
   * @returns {Promise<boolean>} whether nothing grew and nothing failed
   */
  async run(contender, seconds) {
    // Without a collection before it a sample shows when the last one was.
    const stage = new Stage({ core: this.cores.server, program: this.program, nodeArgs: ['--expose-gc'] });
    const driver = new LoadDriver(this.cores, 1);
    try {
      const endpoints = await contender.start(stage, 1);
      const { dialect } = contender;
      await driver.open({
        crowd: { ...endpoints, dialect, purpose: 'echo', first: 0, count: 0 },
        churn: { perSecond: PER_SECOND },
      });
      await driver.start();
      console.log(`\n${contender.name}: ${PER_SECOND} clients come and go each second, for ${seconds} s`);
      const { watched, errors } = await this.watch(stage, driver, seconds * 1_000);
      const unanswered = await driver.stop();
      if (unanswered > 0) console.log(`  FAILED: ${unanswered} clients got no answer`);
      return verdict(watched) && errors === 0 && unanswered === 0;
    } finally {
      await driver.end();
      await stage.end();
    }
  }

  /** @private @param {Stage} stage @param {LoadDriver} driver @param {number} ms */
  async watch(stage, driver, ms) {
    const sampleMs = Math.min(SAMPLE_MS, ms / MIN_SAMPLES);
    const startedAt = Date.now();
    /** @type {Map<number, Watched>} */
    const watched = new Map();
    let errors = 0;
    for (let sample = 1; sample * sampleMs <= ms; sample++) {
      await delay(Math.max(0, startedAt + (sample - 1) * sampleMs - Date.now()));
      const [{ messages, elapsedMs, errors: failed, firstError }] = await driver.measure(
        Math.max(1, startedAt + sample * sampleMs - Date.now()),
        [],
      );
      errors = failed;
      const usages = await stage.usage();
      usages.forEach(({ name, rss, heapUsed }, index) => {
        const own = watched.get(index) ?? { name, rss: [], heapUsed: [] };
        own.rss.push(rss);
        own.heapUsed.push(heapUsed);
        watched.set(index, own);
      });
      const memory = usages.map(({ name, rss, heapUsed }) => `${name} ${megabytes(rss)}, heap ${megabytes(heapUsed)}`);
      const rate = ((messages / elapsedMs) * 1_000).toFixed(0);
      const trouble = failed > 0 ? `; ${failed} ERRORS, such as ${firstError}` : '';
      const second = ((sample * sampleMs) / 1_000).toFixed(0);
      console.log(`  ${second.padStart(4)} s  ${rate} stays/s  ${memory.join('  ')}${trouble}`);
    }
    return { watched: [...watched.values()], errors };
  }
}

/** @param {readonly Watched[]} watched */
function verdict(watched) {
  let isGood = true;
  for (const process of watched) {
    for (const kind of /** @type {const} */ (['heapUsed', 'rss'])) {
      const isGrowing = grows(process[kind], ALLOWED[kind]);
      const growth = megabytes(growthOf(process[kind]));
      console.log(`  ${isGrowing ? 'FAILED' : 'ok'}: ${kind} of ${process.name} grew by ${growth} after the warm-up`);
      if (isGrowing) isGood = false;
    }
  }
  return isGood;
}
