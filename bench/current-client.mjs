/**
 * What it costs a worker to follow the current client (option `currentClient`): frames go to a worker over the memory link and
 * are answered, once with the option and once without. Each measurement has a process of its own, because following
 * promises slows the whole process; the two alternate, and what counts is the median of the ratios of neighbours.
 *
 *     npm run build && node bench/current-client.mjs [rounds]
 */
import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Controller } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Payload } from '@nestjs/microservices';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { PendingCall, topicContract } from '@nestgate/link/internal';
import { BodyKind } from '@nestgate/protocol';
import { GateTransport, OnTopic, WorkerModule } from '@nestgate/worker';
import { machine } from './harness/machine.mjs';
import { method } from './peers/decorate.mjs';

const DEFAULT_ROUNDS = 9;
const WARM_FRAMES = 60_000;
const FRAMES = 300_000;
/** Frames under way at a time, each of another client. */
const CLIENTS = 64;
const TIMEOUT_MS = 30_000;
const BODY = Buffer.from(JSON.stringify({ text: 'x'.repeat(50) }));

/** Handlers that do nothing themselves: at once, and after a few promises as real ones have. */
class EchoTopics {
  /** @param {unknown} body */
  echo(body) {
    return body;
  }

  /** @param {unknown} body */
  async awaiting(body) {
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    return body;
  }
}
Controller()(EchoTopics);
method(EchoTopics, 'echo', [OnTopic('bench/echo')], [Payload()]);
method(EchoTopics, 'awaiting', [OnTopic('bench/awaiting')], [Payload()]);

const TOPICS = /** @type {const} */ (['bench/echo', 'bench/awaiting']);

const [mode] = process.argv.slice(2);
if (mode === 'with' || mode === 'without') await measure(mode === 'with');
else compare(Number(mode ?? DEFAULT_ROUNDS));

/** @param {number} rounds */
function compare(rounds) {
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('The rounds must be a positive integer');
  console.log(`${machine()}; ${rounds} rounds of ${FRAMES} frames; frames per second of CPU`);
  /** @type {Map<string, number[][]>} */
  const results = new Map(TOPICS.map(topic => [topic, []]));
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes, so that neither of the two has the better place.
    const order = round % 2 === 0 ? ['without', 'with'] : ['with', 'without'];
    const measured = new Map(order.map(each => [each, run(each)]));
    for (const topic of TOPICS) {
      results.get(topic)?.push(['without', 'with'].map(each => measured.get(each)?.[topic] ?? Number.NaN));
    }
  }
  for (const [topic, pairs] of results) {
    const [without, followed] = [0, 1].map(at => median(pairs.map(pair => pair[at])));
    const ratio = median(pairs.map(([one, other]) => other / one));
    console.log(`${topic}: ${thousands(without)} without, ${thousands(followed)} with, ratio ${ratio.toFixed(2)}`);
  }
}

/**
 * @param {string} how
 * @returns {Record<string, number>}
 */
function run(how) {
  return JSON.parse(execFileSync(process.execPath, [fileURLToPath(import.meta.url), how], { encoding: 'utf8' }));
}

/** @param {boolean} currentClient */
async function measure(currentClient) {
  const bus = new MemoryBus();
  const gate = new LinkNode({
    link: bus.link(),
    self: { id: 'gate', role: 'gate', epoch: 'bench', modules: [], draining: false },
  });
  await gate.open();
  class BenchModule {}
  const module = {
    module: BenchModule,
    imports: [WorkerModule.forRoot({ link: bus.link(), nodeId: 'worker', currentClient })],
    controllers: [EchoTopics],
  };
  const app = await NestFactory.create(module, { logger: false });
  app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  /** @type {Record<string, number>} */
  const rates = {};
  for (const topic of TOPICS) {
    await send(gate, topic, WARM_FRAMES);
    const before = process.cpuUsage();
    await send(gate, topic, FRAMES);
    const { user, system } = process.cpuUsage(before);
    rates[topic] = FRAMES / ((user + system) / 1e6);
  }
  console.log(JSON.stringify(rates));
  process.exit(0);
}

/**
 * Frames of each client one after another, those of all side by side.
 * @param {LinkNode} gate
 * @param {string} topic
 * @param {number} frames
 */
async function send(gate, topic, frames) {
  const worker = gate.peers.get('worker');
  if (!worker) throw new Error('There is no worker');
  const one = async (/** @type {number} */ serial) => {
    for (let n = 0; n < frames / CLIENTS; n++) {
      const pending = new PendingCall(topicContract.message);
      const message = {
        serial,
        topic,
        body: { kind: BodyKind.json, bytes: BODY },
        wantsResult: true,
        session: undefined,
      };
      worker.request(topicContract.message, message, pending, Date.now() + TIMEOUT_MS);
      await pending.promise;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, n) => one(n + 1)));
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}

/** @param {number} value */
function thousands(value) {
  return `${Math.round(value / 1_000)} k/s`;
}
