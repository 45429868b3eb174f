/**
 * Bytes that each process on the way of a message copies, decodes and so on, as a multiple of the text in it: real servers under
 * load, with what copies wrapped. Brokers are not looked at.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CONTENDERS } from '../../harness/contenders.mjs';
import { Cores } from '../../harness/cores.mjs';
import { LoadDriver } from '../../harness/load-driver.mjs';
import { Stage } from '../../harness/stage.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const KIB = 1024;
const SIZES = [64, KIB, 4 * KIB, 16 * KIB, 60 * KIB];
const MEASURED = new Set(['nestgate-memory', 'nestgate-tcp', 'nestgate-nats', 'ws', 'nest', 'socket.io']);
const LOAD_MS = 400;
const CLIENTS = 100;
const IN_FLIGHT = 4;
const MEMBERS = 100;
const BROADCASTS = 2;

/** @typedef {import('../../harness/contenders.mjs').Contender} Contender */
/** @typedef {Readonly<Record<string, number>>} Counts */

/** @param {Stage} stage @returns {Promise<{ name: string, counts: Counts }[]>} of each process */
async function countsOf(stage) {
  const answers = await stage.ask('copies');
  return answers.map(({ name, ...counts }) => ({ name, counts: /** @type {any} */ (counts) }));
}

/**
 * Counts under one load.
 * @param {Stage} stage
 * @param {import('../../load/generator.mjs').LoadPlan} plan
 * @param {number} bytes of the text
 */
async function measure(stage, plan, bytes) {
  // A delivery is a part of its broadcast.
  const parts = plan.fanout?.perGroup ?? 1;
  const driver = new LoadDriver(new Cores(), 1);
  try {
    await driver.open(plan);
    const before = await countsOf(stage);
    await driver.start();
    await delay(LOAD_MS);
    const unanswered = await driver.stop();
    const messages = (await driver.count()) / parts;
    const after = await countsOf(stage);
    if (unanswered > 0 || messages === 0) throw new Error(`${messages} messages, ${unanswered} without an answer`);
    return after.map(({ name, counts }, index) => ({
      name,
      figures: Object.fromEntries(
        Object.entries(counts).map(([kind, count]) => [kind, (count - before[index].counts[kind]) / messages / bytes]),
      ),
    }));
  } finally {
    await driver.end();
  }
}

/** @param {string} script */
const processOf = script => /apps\/(\w+)\//.exec(script)?.[1] ?? '';

/**
 * @param {import('../target.mjs').Target} target
 * @param {Contender} contender
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
async function casesOf(target, { name, dialect, start }) {
  const { server } = new Cores();
  const stage = new Stage({ core: server, root: target.root, preloads: ['../micro/copy-counter.mjs'] });
  /** @type {import('../target.mjs').MicroCase[]} */
  const found = [];
  try {
    const endpoints = await start(stage, 1);
    for (const shape of /** @type {const} */ (['echo', 'fanout'])) {
      for (const bytes of SIZES) {
        const base = { ...endpoints, dialect, bytes, first: 0 };
        /** @type {import('../../load/generator.mjs').LoadPlan} */
        const plan =
          shape === 'echo'
            ? { crowd: { ...base, purpose: 'json', count: CLIENTS }, echo: { inFlight: IN_FLIGHT, rate: 0 } }
            : {
                crowd: { ...base, purpose: 'fan', count: MEMBERS + 1 },
                fanout: { inFlight: BROADCASTS, groups: 1, perGroup: MEMBERS },
              };
        for (const { name: script, figures } of await measure(stage, plan, bytes)) {
          const where = [name, processOf(script), shape, bytes < KIB ? `${bytes} B` : `${bytes / KIB} KiB`];
          found.push({ name: where.filter(Boolean).join(' '), measure: () => figures });
        }
      }
    }
  } finally {
    await stage.end();
  }
  return found;
}

/**
 * @param {import('../target.mjs').Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  /** @type {import('../target.mjs').MicroCase[][]} */
  const found = [];
  for (const contender of CONTENDERS.filter(({ name }) => MEASURED.has(name))) {
    // The peers are the same whatever is compared.
    if (contender.dialect === 'gate' || target.root === ROOT) found.push(await casesOf(target, contender));
  }
  return found.flat();
}
