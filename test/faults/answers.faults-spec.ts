import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { type Link, LinkNode, MemoryBus, type SessionSnapshot } from '@nestgate/link';
import { createCaller, ownersQueryOp, ownerOp, sessionContract } from '@nestgate/link/internal';
import { GateError, NO_BODY } from '@nestgate/protocol';
import { FaultCluster, isLong, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { LedgerClient } from './support/ledger-client.js';
import { sumReports } from './support/ledger.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import { requestsOf } from '../e2e/support/insides.js';

const RUN_MS = isLong ? 600_000 : 20_000;
/** How long a request may take here, in milliseconds. */
const REQUEST_MS = 500;
/** How often a worker blocks its loop, and how often one is killed. */
const BLOCK_EVERY_MS = 1_500;
const KILL_EVERY_MS = 6_000;
const CLIENTS = 16;
const LATEST_MS = REQUEST_MS * 2.4;

/** What may end a request here beside its answer. */
const ENDS = ['TIMEOUT', 'WORKER_LOST', 'NO_WORKER', 'INTERNAL'];

const about = (ms: number): number => ms * (0.9 + Math.random() * 0.2);

describe.each(LINKS)('answers that are late, lost or in time, over %s', link => {
  let cluster: FaultCluster | undefined;

  afterEach(() => cluster?.end());

  it(
    'each belong to the caller',
    async () => {
      cluster = await FaultCluster.start({ link, gates: 1, workers: 2, gate: { requestTimeout: REQUEST_MS } });
      const clients = await cluster.connect(0, CLIENTS);
      const end = performance.now() + RUN_MS;
      const isOver = (): boolean => performance.now() >= end;
      let [sessions, wrong, kills] = [0, 0, 0];

      /** Asks one after another, with handlers that take nothing, or about as long as they may. */
      async function talk(client: LedgerClient, index: number): Promise<void> {
        for (let n = 0; !isOver(); n++) {
          const isLate = (n + index) % 25 === 0;
          for (let i = 0; i < 4; i++) client.ask('work/do', { ms: isLate ? about(REQUEST_MS) : 0 });
          while (client.requests.log.open.length > 0 && !isOver()) await delay(2);
        }
      }

      /** What the gate answers to a worker: the session of this client, and nothing of another. */
      async function change(client: LedgerClient): Promise<void> {
        let mine: string | undefined;
        while (!isOver()) {
          const { body } = await client.exchange('session/set', { key: 'owner', value: client.name });
          const { clientId, settings } = (body ?? {}) as { clientId?: string; settings?: { owner?: string } };
          if (clientId === undefined) continue;
          sessions++;
          if (clientId !== (mine ??= clientId) || settings?.owner !== client.name) wrong++;
          await delay(10);
        }
      }

      async function block(client: LedgerClient): Promise<void> {
        while (!isOver()) {
          await delay(BLOCK_EVERY_MS);
          client.ask('work/fail', { how: 'block', ms: REQUEST_MS + Math.random() * LATEST_MS });
        }
      }

      async function kill(): Promise<void> {
        while (!isOver()) {
          await delay(KILL_EVERY_MS);
          const victim = cluster?.workers.find(worker => !worker.isOver);
          await victim?.kill();
          kills++;
          await cluster?.startWorker();
        }
      }

      const [blocker, other, ...talkers] = clients as [LedgerClient, LedgerClient, ...LedgerClient[]];
      await Promise.all([
        ...talkers.map(talk),
        ...talkers.slice(0, 4).map(change),
        block(blocker),
        block(other),
        kill(),
      ]);
      await delay(REQUEST_MS + LATEST_MS);

      const report = sumReports(clients.map(({ requests }) => requests.report()));
      const { counters } = await cluster.gates[0]!.state();
      printFigures(`answers, ${link}`, { report, sessions, wrong, kills, late: counters['late'] });
      expect(report).toMatchObject(NO_DEFECTS);
      expect(unexpectedErrors(report, ...ENDS)).toEqual([]);
      expect(clients.flatMap(({ strays }) => strays)).toEqual([]);
      expect(wrong).toBe(0);
      // All kinds have been there.
      expect(Math.min(report.received, sessions, kills, counters['late'] ?? 0)).toBeGreaterThan(0);
      expect(report.errors).toMatchObject({ TIMEOUT: expect.any(Number) });
    },
    RUN_MS + 180_000,
  );
});

const contract = {
  ask: ownerOp(1, sessionContract.load.args, sessionContract.load.result),
  which: ownersQueryOp(2, sessionContract.send.args, sessionContract.clientIds.result, {
    merge: (one: readonly string[], other: readonly string[]) => [...one, ...other],
    empty: () => [],
  }),
} as const;

/** A memory link that loses some frames without saying so. */
function lossy(link: Link): Link {
  const send = link.send.bind(link);
  link.send = (to, frame) => (Math.random() < 0.01 ? 'sent' : send(to, frame));
  return link;
}

describe('answers that are late, lost or in time, over memory', () => {
  const nodes: LinkNode[] = [];

  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.close();
  });

  it(
    'each belong to the caller',
    async () => {
      const bus = new MemoryBus();
      let boots = 0;
      const start = async (id: string): Promise<LinkNode> => {
        const self = { id, role: 'gate', epoch: `e${++boots}`, modules: [], draining: false } as const;
        const node = new LinkNode({ link: lossy(bus.link()), self });
        nodes.push(node);
        /** At once, soon, about when its time is over, or never. */
        const answer = async <T>(value: T): Promise<T> => {
          const fate = Math.random();
          if (fate < 0.05) await delay(about(REQUEST_MS / 10));
          else if (fate < 0.055) await new Promise(() => undefined);
          else if (fate < 0.1) await delay(fate * 50);
          return value;
        };
        node.dispatcher.serve(contract, {
          ask: ({ clientId }) => answer({ sessionId: clientId } as SessionSnapshot),
          which: ({ clientIds }) => answer(clientIds),
        });
        await node.open();
        return node;
      };
      const asker = await start('g0');
      const others = new Map<string, LinkNode>();
      for (const id of ['g1', 'g2', 'g3']) others.set(id, await start(id));
      const caller = createCaller(asker, contract);
      const options = { deadlineMs: REQUEST_MS / 10 };
      const end = performance.now() + RUN_MS;
      const ends: Record<string, number> = {};
      let [answered, wrong] = [0, 0];

      async function talk(serial: number): Promise<void> {
        for (let n = 0; performance.now() < end; n++) {
          const peers = [...asker.peers.values()];
          const peer = peers[(n + serial) % peers.length];
          const clientId = `${peer?.clientPrefix}${serial.toString(36)}`;
          try {
            if (n % 3 === 0) {
              const clientIds = peers.map(({ clientPrefix }) => `${clientPrefix}${serial.toString(36)}`);
              const { result } = await caller.which.gather({ clientIds, topic: 'a', body: NO_BODY }, options);
              if (result.some(id => !clientIds.includes(id)) || new Set(result).size !== result.length) wrong++;
            } else if ((await caller.ask.call({ clientId }, options)).sessionId !== clientId) wrong++;
            answered++;
          } catch (error) {
            const code = error instanceof GateError ? error.code : String(error);
            ends[code] = (ends[code] ?? 0) + 1;
          }
        }
      }

      /** Nodes leave and come back, and the loop stands still for longer than a request may take. */
      async function disturb(): Promise<void> {
        for (let n = 0; performance.now() < end; n++) {
          await delay(200);
          const id = `g${1 + (n % 3)}`;
          await others.get(id)?.close({ drain: n % 2 === 0 });
          others.set(id, await start(id));
          for (const until = performance.now() + REQUEST_MS / 5; performance.now() < until;);
        }
      }

      await Promise.all([...Array.from({ length: 64 }, (_, serial) => talk(serial + 1)), disturb()]);
      const { late, gaps } = asker.counters;
      printFigures('answers, memory', { answered, wrong, late, gaps, ...ends });
      expect(wrong).toBe(0);
      expect(Object.keys(ends).filter(code => !EXPECTED.has(code))).toEqual([]);
      expect(Math.min(answered, late, gaps, ends['TIMEOUT'] ?? 0, ends['LINK_UNAVAILABLE'] ?? 0)).toBeGreaterThan(0);
      expect(requestsOf(asker).size).toBe(0);
    },
    RUN_MS + 30_000,
  );
});

const EXPECTED: ReadonlySet<string> = new Set(['TIMEOUT', 'NODE_LOST', 'LINK_UNAVAILABLE', 'SESSION_NOT_FOUND']);
