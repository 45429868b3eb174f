import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { CONTENDERS } from './contenders.mjs';

/** What a run may be restricted to. */
export const PARTS = /** @type {const} */ (['echo', 'rate', 'fanout', 'stream', 'sizes', 'storm', 'idle', 'growth']);
const SOAK_SECONDS = 600;
/** A quick run keeps its promise also on a slow machine, in milliseconds. */
const QUICK_BUDGET_MS = 160_000;
const BUDGET_MS = 90 * 60_000;
const MAX_ROUNDS = 20;
const MAX_SECONDS = 3_600;

/**
 * @typedef {object} BenchOptions
 * @property {boolean} quick
 * @property {ReadonlySet<string>} parts
 * @property {boolean} areNamed whether the parts were chosen: a quick run of all has no time for each of them
 * @property {readonly string[]} peers
 * @property {boolean} arePeersNamed whether the peers were chosen
 * @property {string} program Node for the servers
 * @property {string} nodeVersion that of it
 * @property {number} rounds
 * @property {number} measureMs
 * @property {number} coldMs how long a fresh process is under load first: it compiles what is hot, and not at once
 * @property {number} warmMs
 * @property {number} budgetMs what would start later is left out
 * @property {number} soakSeconds 0 for no soak
 * @property {boolean} isWhole nothing is left out: the results are worth keeping
 * @property {string | undefined} out where the results go that would not be kept
 */

export const USAGE = `npm run bench -- [options]
  --quick            less of everything: under three minutes
  --only a,b         parts: ${PARTS.join(', ')}
  --peers a,b        ${CONTENDERS.map(({ name }) => name).join(', ')}
  --rounds n         how often everything is measured, in fresh processes
  --seconds n        how long each measurement takes
  --node path        run the servers on this Node; the generator stays on its own
  --soak[=seconds]   churn for ten minutes, and watch the memory
  --out directory    write RESULTS.md and charts there, also of a part of a run`;

/**
 * @param {string | undefined} text
 * @param {string} option
 * @param {readonly string[]} allowed
 */
function names(text, option, allowed) {
  if (text === undefined) return [...allowed];
  const given = text.split(',').filter(Boolean);
  for (const name of given) {
    if (!allowed.includes(name)) throw new Error(`--${option} ${name} is not allowed; allowed: ${allowed.join(', ')}`);
  }
  if (given.length === 0) throw new Error(`--${option} names nothing`);
  return given;
}

/** @param {string | undefined} text @param {string} option @param {number} max */
function positive(text, option, max) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0) || value > max) throw new Error(`--${option} ${text} is not allowed; allowed: up to ${max}`);
  return value;
}

/** The version that a Node says it is. @param {string} program */
export function versionOf(program) {
  if (program === process.execPath) return process.version;
  const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.trim();
  if (!/^v\d+\./.test(version ?? '')) throw new Error(`--node ${program} is not allowed; allowed: a Node binary`);
  return version;
}

/**
 * @param {readonly string[]} args
 * @returns {BenchOptions}
 * @throws {Error} naming what is not allowed
 */
export function readOptions(args) {
  const { values } = parseArgs({
    args: args.map(arg => (arg === '--soak' ? `--soak=${SOAK_SECONDS}` : arg)),
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      soak: { type: 'string' },
      node: { type: 'string' },
      out: { type: 'string' },
    },
  });
  const { quick, node: program = process.execPath } = values;
  const rounds = positive(values.rounds, 'rounds', MAX_ROUNDS);
  const seconds = positive(values.seconds, 'seconds', MAX_SECONDS);
  return {
    quick,
    parts: new Set(names(values.only, 'only', PARTS)),
    areNamed: values.only !== undefined,
    arePeersNamed: values.peers !== undefined,
    program,
    nodeVersion: versionOf(program),
    peers: names(
      values.peers,
      'peers',
      CONTENDERS.map(({ name }) => name),
    ),
    rounds: Math.ceil(rounds ?? (quick ? 1 : 3)),
    measureMs: (seconds ?? (quick ? 1 : 3)) * 1_000,
    coldMs: quick ? 1_200 : 4_000,
    warmMs: quick ? 300 : 1_500,
    budgetMs: quick ? QUICK_BUDGET_MS : BUDGET_MS,
    soakSeconds: positive(values.soak, 'soak', MAX_SECONDS) ?? 0,
    isWhole:
      !quick &&
      [values.only, values.peers, values.rounds, values.seconds, values.node].every(value => value === undefined),
    out: values.out,
  };
}
