/** Compares the client with others: `npm run bench:client`. The README says what is measured. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Cores } from '../harness/cores.mjs';
import { machine } from '../harness/machine.mjs';
import { ManagedProcess } from '../harness/managed-process.mjs';
import { versionOf } from '../harness/options.mjs';
import { median } from '../harness/summary.mjs';
import { columns, number } from '../harness/table-text.mjs';
import { bundleSize } from './bundle-size.mjs';
import { ClientProcess } from './client-process.mjs';
import { CONTENDERS, PACKAGES } from './contenders.mjs';
import { Relay } from './relay.mjs';

/** @typedef {import('./contenders.mjs').Contender} Contender */
/** A server, and how its clients reach it. @typedef {{ port: number, path: string, process: ManagedProcess }} Peer */

const PEERS = new URL('./peers/', import.meta.url);
/** Half of a round trip of 50 ms. */
const DELAY_MS = 25;
const CONNECTS = 20;
const PUSHES = 50_000;
const WARM_PUSHES = 20_000;
const PER = 10_000;
/** Clients take a connection of this age for a good one: their next attempt is one of the quick ones. */
const SETTLE_MS = 6_000;
const SLEEP_MS = 60_000;
/** How long a client may take to notice that its connection is lost. */
const LIMIT_MS = 90_000;

/** @param {number} ms */
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** @param {string} name */
function versionOfPackage(name) {
  const path = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(path, 'utf8')).version}`;
}

class Comparison {
  /** @param {string} program Node @param {readonly Contender[]} contenders */
  constructor(program, contenders) {
    /** @readonly */
    this.program = program;
    /** @readonly */
    this.contenders = contenders;
    /** @readonly */
    this.cores = new Cores();
    /** @readonly @type {Map<string, Peer>} by the names of their files */
    this.peers = new Map();
  }

  async start() {
    for (const peer of new Set(this.contenders.map(contender => contender.peer))) {
      const args = [fileURLToPath(new URL(`${peer}.mjs`, PEERS))];
      const child = new ManagedProcess({ name: peer, program: this.program, args, core: this.cores.server });
      const [, port, path] = await child.whenPrinted(/listening on (\d+) (\S+)/);
      this.peers.set(peer, { port: Number(port), path, process: child });
    }
  }

  async end() {
    for (const { process: child } of this.peers.values()) await child.end();
  }

  /**
   * Gives each contender a fresh process and a network of its own, while this runs.
   * @template T
   * @param {Contender} contender
   * @param {number} delayMs
   * @param {(client: ClientProcess, relay: Relay) => Promise<T>} run
   */
  async with({ name, peer }, delayMs, run) {
    const { port, path } = /** @type {Peer} */ (this.peers.get(peer));
    const relay = new Relay(port, delayMs);
    const host = `127.0.0.1:${await relay.start()}${path}`;
    const client = new ClientProcess(this.program, name, host, this.cores.ofGenerator(0));
    try {
      return await run(client, relay);
    } finally {
      await client.end();
      relay.end();
    }
  }

  /** In milliseconds. @param {Contender} contender */
  online(contender) {
    return this.with(contender, DELAY_MS, async client => {
      return median(await client.measure({ what: 'connects', count: CONNECTS }));
    });
  }

  /** In milliseconds of CPU for 10,000 pushes. @param {Contender} contender */
  pushes(contender) {
    return this.with(contender, 0, async client => {
      const us = await client.measure({ what: 'pushes', count: PUSHES, warm: WARM_PUSHES });
      return us / 1_000 / (PUSHES / PER);
    });
  }

  /** In milliseconds from a reset of the connection. @param {Contender} contender */
  cut(contender) {
    return this.with(contender, 0, async (client, relay) => {
      await client.stay();
      await pause(SETTLE_MS);
      relay.cut();
      return client.back(LIMIT_MS);
    });
  }

  /** In milliseconds from when nothing came through any more. @param {Contender} contender */
  silent(contender) {
    return this.with(contender, 0, async (client, relay) => {
      await client.stay();
      await pause(SETTLE_MS);
      relay.lose();
      return client.back(LIMIT_MS);
    });
  }

  /** In milliseconds from when it runs again; the connection was lost while it did not. @param {Contender} contender */
  sleep(contender) {
    return this.with(contender, 0, async (client, relay) => {
      await client.stay();
      await pause(SETTLE_MS);
      client.sleep();
      relay.lose();
      await pause(SLEEP_MS);
      client.wake();
      return client.back(LIMIT_MS);
    });
  }

  /**
   * The median of all rounds for each contender. One after the other, in another order each time, or all beside each other.
   * @param {'online' | 'pushes' | 'cut' | 'silent' | 'sleep'} what
   * @param {number} rounds
   * @param {boolean} isBeside
   */
  async rounds(what, rounds, isBeside) {
    /** @type {Map<Contender, number[]>} */
    const values = new Map(this.contenders.map(contender => [contender, []]));
    for (let round = 0; round < rounds; round++) {
      const first = round % this.contenders.length;
      const order = [...this.contenders.slice(first), ...this.contenders.slice(0, first)];
      /** @param {Contender} contender */
      const run = async contender => void values.get(contender)?.push(await this[what](contender));
      if (isBeside) await Promise.all(order.map(run));
      else for (const contender of order) await run(contender);
      process.stderr.write(`${what}: round ${round + 1} of ${rounds}, ${number(performance.now() / 1_000)} s\n`);
    }
    return new Map([...values].map(([contender, all]) => [contender, median(all)]));
  }
}

/** What is measured, and how it is shown. */
const MEASURES = /** @type {const} */ ([
  { what: 'online', head: 'online ms', rounds: 5, isBeside: false },
  { what: 'pushes', head: 'CPU ms/10,000', rounds: 5, isBeside: false },
  { what: 'cut', head: 'after a cut s', rounds: 9, isBeside: true },
  { what: 'silent', head: 'after silence s', rounds: 3, isBeside: true },
  { what: 'sleep', head: 'after sleep s', rounds: 3, isBeside: true },
]);

/** @param {string} head @param {number | undefined} value */
function shown(head, value) {
  if (value === Infinity) return `over ${LIMIT_MS / 1_000}`;
  return head.endsWith(' s') ? number((value ?? NaN) / 1_000, 2) : number(value, 1);
}

async function main() {
  const { values } = parseArgs({
    options: { node: { type: 'string' }, only: { type: 'string' }, rounds: { type: 'string' } },
  });
  const { node: program = process.execPath } = values;
  const version = versionOf(program);
  const names = MEASURES.map(({ what }) => what);
  const wanted = values.only?.split(',') ?? ['size', ...names];
  const unknown = wanted.filter(name => name !== 'size' && !names.some(known => known === name));
  if (unknown.length > 0)
    throw new Error(`--only ${unknown.join(',')} is not allowed; allowed: size, ${names.join(', ')}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && (!Number.isInteger(rounds) || rounds < 1 || rounds > 50))
    throw new Error('--rounds: 1 to 50');

  console.log(`${machine(version)}; ${PACKAGES.map(versionOfPackage).join(', ')}`);
  const comparison = new Comparison(program, CONTENDERS);
  /** @type {[head: string, cells: readonly string[]][]} */
  const table = [['', CONTENDERS.map(contender => contender.shown)]];
  if (wanted.includes('size')) table.push(['bytes', CONTENDERS.map(({ code }) => number(bundleSize(code)))]);
  try {
    await comparison.start();
    for (const { what, head, rounds: usual, isBeside } of MEASURES) {
      if (!wanted.includes(what)) continue;
      const medians = await comparison.rounds(what, rounds ?? usual, isBeside);
      table.push([head, CONTENDERS.map(contender => shown(head, medians.get(contender)))]);
    }
  } finally {
    await comparison.end();
  }
  console.log(
    columns([table.map(([head]) => head), ...CONTENDERS.map((_, row) => table.map(([, cells]) => cells[row]))]),
  );
}

// Exit handlers end what was started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));
try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
