/**
 * What the admin page costs gates with many sessions: CPU time of three gates without a page, and with pages that ask every two seconds as
 * open ones do. `node bench/admin/run.mjs [--sessions 20000] [--seconds 30] [--pages 1]`; needs a build.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../harness/free-port.mjs';
import { cpuTimes } from '../harness/process-meter.mjs';

const GATES = 3;
const POLL_MS = 2_000;
const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '30' },
    pages: { type: 'string', default: '1' },
  },
});
const [sessions, seconds, pages] = [values.sessions, values.seconds, values.pages].map(Number);
/** @type {import('node:child_process').ChildProcess[]} */
const children = [];
// Also when the run is broken off.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/**
 * @param {string} file
 * @param {readonly string[]} args
 */
function start(file, args, env = {}) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

/** @param {import('node:child_process').ChildProcess} child */
const cpuOf = ({ pid }) => cpuTimes([Number(pid)]).busyMs;

/** @typedef {{ nodes: { gate?: { clients: number } }[], missing: string[] }} Overview */

/**
 * Asks as the page does.
 * @param {number} port
 */
async function overview(port) {
  const begun = performance.now();
  const response = await fetch(`http://127.0.0.1:${port}/admin/api/overview`);
  const { nodes, missing } = /** @type {Overview} */ (await response.json());
  if (response.status !== 200 || missing.length > 0) throw new Error(`The page was answered ${response.status}`);
  const clients = nodes.reduce((sum, { gate }) => sum + (gate?.clients ?? 0), 0);
  return { ms: performance.now() - begun, clients };
}

/**
 * CPU time per second of each gate, in milliseconds, while `run` goes on.
 * @param {readonly import('node:child_process').ChildProcess[]} gates
 * @param {() => Promise<unknown>} run
 */
async function measure(gates, run) {
  const before = gates.map(cpuOf);
  const begun = performance.now();
  await run();
  const elapsed = (performance.now() - begun) / 1_000;
  return gates.map((gate, n) => (cpuOf(gate) - before[n]) / elapsed);
}

/** @param {readonly number[]} list */
const shown = list => list.map(value => value.toFixed(1).padStart(6)).join(' ');

const ports = await Promise.all(Array.from({ length: GATES }, freePort));
const links = await Promise.all(Array.from({ length: GATES }, freePort));
const gates = ports.map((port, n) => {
  const peers = links.filter((_, other) => other !== n).map(link => `127.0.0.1:${link}`);
  return start('../../apps/gate/dist/main.js', [], {
    PORT: String(port),
    NESTGATE_ID: `gate-${n + 1}`,
    NESTGATE_LINK: `tcp://127.0.0.1:${links[n]}?peers=${peers.join(',')}`,
    NESTGATE_SECRET: 'a secret of this run alone',
    NESTGATE_ADMIN: 'on',
    NESTGATE_MAX_PER_IP: '0',
    LOG_LEVEL: 'warn',
  });
});
for (const gate of gates) gate.stdout.resume();
for (let tries = 0; ; tries++) {
  const found = /** @type {Overview} */ (
    await fetch(`http://127.0.0.1:${ports[0]}/admin/api/overview`)
      .then(response => response.json())
      .catch(() => ({ nodes: [], missing: [] }))
  );
  if (found.nodes.length === GATES) break;
  if (tries > 100) throw new Error('The gates do not meet');
  await delay(200);
}
const share = Math.ceil(sessions / GATES);
for (const port of ports) {
  const crowd = start('crowd.mjs', [String(port), String(share)]);
  await once(crowd.stdout, 'data');
}
const { clients } = await overview(ports[0]);
console.log(`${clients} sessions on ${GATES} gates; CPU time in ms per second of each gate`);
/** @type {number[]} */
const times = [];
const open = async () => {
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    for (const { ms } of await Promise.all(Array.from({ length: pages }, () => overview(ports[0])))) times.push(ms);
    await delay(POLL_MS);
  }
};
const sums = { without: 0, with: 0 };
for (let round = 1; round <= 2; round++) {
  await delay(5_000);
  const without = await measure(gates, () => delay(seconds * 1_000));
  const asked = await measure(gates, open);
  for (const value of without) sums.without += value;
  for (const value of asked) sums.with += value;
  console.log(`round ${round}: without ${shown(without)}   with ${pages} open ${shown(asked)}`);
}
times.sort((one, other) => one - other);
const more = (sums.with - sums.without) / (2 * GATES) / 10;
console.log(
  `a gate uses ${more.toFixed(2)} % of a core more; an answer takes ${times[times.length >> 1]?.toFixed(1)} ms`,
);
process.exit();
