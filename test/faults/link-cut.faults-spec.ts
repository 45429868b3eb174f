import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { CutProxy, type Way } from './support/cut-proxy.js';
import { type CutFindings, CutRound } from './support/cut-round.js';
import { NEWS_MS } from './support/effects.js';
import { FaultCluster, isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { Load } from './support/load.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import { PushFlow, pushOf } from './support/push-flow.js';

/** Rounds that run beside each other. */
const WIDTH = 40;
const CLEAN: CutFindings = { corrupt: 0, foreign: 0, dup: 0, reorder: 0, strange: [], silent: 0 };
/** After how many bytes of their traffic the links of real processes break. */
const SAMPLE: readonly number[] = isLong
  ? Array.from({ length: 60 }, (_, i) => Math.floor(1.18 ** i))
  : [1, 4, 5, 18, 97, 333, 1_001, 5_003];
/** How long that may take: a dialer waits up to 3 s before it tries again, when it is cut off often. */
const LIMIT_MS = 20_000 + SAMPLE.length * 5_000;
const WAYS: readonly Way[] = ['up', 'down'];

describe('a tcp link that breaks', () => {
  it.each(WAYS)(
    'at any byte on the way %s delivers nothing broken, and goes on',
    async way => {
      const whole = await CutRound.run(`${way}-whole`);
      expect(whole).toMatchObject({ findings: CLEAN, failed: 0, lost: 0 });
      const total = whole.carried[way];
      const rounds = Array.from({ length: total + 1 }, (_, at) => at);
      const bad: [at: number, findings: CutFindings | string][] = [];
      let failed = 0;
      let lost = 0;
      const runAll = async () => {
        for (let at = rounds.shift(); at !== undefined; at = rounds.shift()) {
          try {
            const result = await CutRound.run(`${way}-${at}`, { way, at });
            failed += result.failed;
            lost += result.lost;
            if (JSON.stringify(result.findings) !== JSON.stringify(CLEAN)) bad.push([at, result.findings]);
          } catch (error) {
            bad.push([at, String(error)]);
          }
        }
      };
      await Promise.all(Array.from({ length: WIDTH }, runAll));
      printFigures(`link cut at each of ${total + 1} bytes ${way}`, { failed, lost, bad: bad.length });
      expect(bad).toEqual([]);
      // Else nothing was ever cut in the middle of something.
      expect(failed).toBeGreaterThan(0);
      expect(lost).toBeGreaterThan(0);
    },
    60_000,
  );
});

describe('a tcp link of real processes that breaks under load', () => {
  let cluster: FaultCluster;
  const proxies: CutProxy[] = [];

  afterEach(async () => {
    await cluster.end();
    await Promise.all(proxies.splice(0).map(proxy => proxy.end()));
  });

  it(
    'costs what was under way on it, and nothing else',
    async () => {
      cluster = await FaultCluster.start({ link: 'tcp', workers: 1 });
      for (const port of cluster.linkPorts) proxies.push(await CutProxy.start(port));
      await cluster.startWorker(`tcp://${proxies.map(({ port }) => `127.0.0.1:${port}`).join(',')}`);
      await cluster.isWhole();
      const clients = [...(await cluster.connect(0, 6)), ...(await cluster.connect(1, 6))];
      const [sender, ...members] = [...(await cluster.connect(0, 2)), ...(await cluster.connect(1, 2))];
      const pushes = await PushFlow.start(pushOf(sender!), 'group', members);
      // Slower than clients ask: there is always a frame that waits for the one before it.
      const load = new Load(clients, { workMs: 40 });
      await load.flows(5);
      let recoveryMs = 0;
      for (const [i, bytes] of SAMPLE.entries()) {
        const proxy = proxies[i % 2]!;
        proxy.arm(WAYS[(i >> 1) % 2]!, bytes);
        await waitUntil('the link to break', () => proxy.cuts > i >> 1, 15_000);
        const brokenAt = Date.now();
        await cluster.isWhole();
        recoveryMs = Math.max(recoveryMs, Date.now() - brokenAt);
        // Clients that nobody has had before go to the worker that has none now: the next cut hits it at work.
        load.clients.push(...(await cluster.connect(i % 2, 2)));
        await load.flows(2);
      }
      await load.stop();
      await pushes.stop();
      const requests = load.report();
      const effects = cluster.effects();
      const expired = effects.expired(load.clients, NEWS_MS);
      const states = await Promise.all([...cluster.gates, ...cluster.workers].map(node => node.state()));
      const corrupt = states.reduce((sum, { counters }) => sum + (counters['corrupt'] ?? 0), 0);
      printFigures(`link cut ${SAMPLE.length} times under load`, {
        requests,
        pushes: pushes.ledger.total(),
        recoveryMs,
        corrupt,
        expired: expired.length,
        repeated: effects.repeated.length,
      });
      expect(corrupt).toBe(0);
      expect(requests).toMatchObject(NO_DEFECTS);
      expect(requests.errors['WORKER_LOST']).toBeGreaterThan(0);
      expect(unexpectedErrors(requests, 'NO_WORKER', 'WORKER_LOST')).toEqual([]);
      expect(effects.repeated).toEqual([]);
      expect(expired.slice(0, 5)).toEqual([]);
      expect(pushes.ledger.total()).toMatchObject(NO_DEFECTS);
      expect(unexpectedErrors(pushes.ledger.total(), 'NO_WORKER', 'WORKER_LOST', 'PARTIAL_RESULT')).toEqual([]);
      for (const client of load.clients) expect(client.closedWith).toBeUndefined();
    },
    LIMIT_MS,
  );
});
