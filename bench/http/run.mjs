/**
 * How fast the HTTP API pushes to single clients, in batches: pushes per second, per CPU second of the process with the API, and the time of a
 * batch. `node bench/http/run.mjs [--seconds 10] [--batch 100] [--concurrent 4] [--clients 100]`; needs a build.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { freePort } from '../harness/free-port.mjs';
import { cpuTimes } from '../harness/process-meter.mjs';

const WARM_UP_MS = 2_000;
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    batch: { type: 'string', default: '100' },
    concurrent: { type: 'string', default: '4' },
    clients: { type: 'string', default: '100' },
  },
});
const [seconds, batch, concurrent, clients] = [values.seconds, values.batch, values.concurrent, values.clients].map(
  Number,
);
const key = randomBytes(24).toString('base64url');
const agent = new Agent({ keepAlive: true, maxSockets: concurrent });
/** @type {import('node:child_process').ChildProcess[]} */
const children = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** @param {string} app @param {NodeJS.ProcessEnv} env */
function start(app, env) {
  const path = fileURLToPath(new URL(`../../apps/${app}/dist/main.js`, import.meta.url));
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, LOG_LEVEL: 'error', ...env },
    stdio: 'ignore',
  });
  children.push(child);
  return child;
}

/** @param {number} port */
async function ready(port) {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

/** @param {number} port @returns {Promise<string>} its client id */
function connect(port) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/gate`);
    socket.once('message', data => resolve(JSON.parse(/** @type {Buffer} */ (data).toString('utf8')).body.clientId));
    socket.once('error', reject);
  });
}

/** Posts a batch; resolves with how many clients it has reached. @param {number} port @param {string} text */
function post(port, text) {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    };
    const options = { agent, port, host: '127.0.0.1', method: 'POST', path: '/nestgate/v1/batch', headers };
    const sent = request(options, response => {
      let body = '';
      response.on('data', part => (body += part));
      response.on('end', () => {
        const { results = [] } = JSON.parse(body);
        resolve(results.filter((/** @type {{ status: number }} */ { status }) => status === 200).length);
      });
    });
    sent.on('error', reject).end(text);
  });
}

const link = `tcp://127.0.0.1:${await freePort()}`;
const [gatePort, apiPort] = [await freePort(), await freePort()];
const shared = { NESTGATE_LINK: link, NESTGATE_SECRET: randomBytes(16).toString('hex'), NESTGATE_MAX_PER_IP: '0' };
start('gate', { ...shared, PORT: String(gatePort) });
const hash = createHash('sha256').update(key).digest('hex');
const api = start('worker', { ...shared, PORT: String(apiPort), NESTGATE_HTTP_KEYS: `bench:${hash}:push` });
await Promise.all([ready(gatePort), ready(apiPort)]);
const ids = await Promise.all(Array.from({ length: clients }, () => connect(gatePort)));

/** @type {number[]} */
const times = [];
let pushed = 0;
let next = 0;
let until = performance.now() + WARM_UP_MS;
async function pushAll() {
  while (performance.now() < until) {
    const calls = Array.from({ length: batch }, () => ({
      operation: 'sendToClient',
      args: { clientIds: ids[next++ % ids.length], topic: 'bench/tick', body: { n: next, text: 'x'.repeat(64) } },
    }));
    const begun = performance.now();
    pushed += await post(apiPort, JSON.stringify({ calls }));
    times.push(performance.now() - begun);
  }
}
const run = () => Promise.all(Array.from({ length: concurrent }, pushAll));
await run();
times.length = 0;
pushed = 0;
const [begun, cpu] = [performance.now(), cpuTimes([Number(api.pid)]).busyMs];
until = begun + seconds * 1_000;
await run();
const took = (performance.now() - begun) / 1_000;
const used = (cpuTimes([Number(api.pid)]).busyMs - cpu) / 1_000;
times.sort((a, b) => a - b);
const at = (/** @type {number} */ share) => times[Math.floor(times.length * share)]?.toFixed(1);
console.log(
  `${Math.round(pushed / took)} pushes/s, ${Math.round(pushed / used)} per CPU second of the process with the API; ` +
    `a batch of ${batch}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
);
process.exit();
