import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { LoopWatch, waitUntil } from '@nestgate/testing';
import { FaultCluster, isLong, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import type { NodeProcess } from './support/node-process.js';
import { NumberedSender, TravellingClient } from './support/travelling-client.js';

const CLIENTS = isLong ? 40 : 8;
/** When the process of a move stops, in milliseconds after its client has begun to resume. */
const STEPS_MS = isLong ? [0, 1, 2, 4, 8, 15, 30, 60] : [2];
/** How long it stands still: longer than nodes have to turn. */
const STILL_MS = 700;
/** How late a process is that others may take for one that stands still. */
const LAG_MS = 100;
const NOTHING_LOST = { twice: 0, reordered: 0, missing: 0 };

describe.each(LINKS)('sessions that move between processes, over %s', link => {
  let cluster: FaultCluster;
  let clients: TravellingClient[];
  let senders: NumberedSender[];
  const closed = new Set<number>();
  const watch = new LoopWatch();
  let round = 0;

  beforeAll(async () => {
    const gate = { resume: { maxDetachedPerAddress: 0 }, drainTimeout: 10_000 };
    cluster = await FaultCluster.start({ link, gates: 3, workers: 1, meshed: true, gate });
  });
  afterAll(async () => {
    watch.end();
    await cluster.end();
  });

  const gate = (index: number): NodeProcess => cluster.gates[index] as NodeProcess;
  const worker = (): NodeProcess => cluster.workers[0] as NodeProcess;

  /** Clients at these gates in turns, in one group, to which the worker and the third gate push without a pause. */
  async function begin(...gates: number[]): Promise<void> {
    const group = `room-${++round}`;
    const isOpen = (index: number): boolean => !closed.has(index);
    clients = await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) =>
        TravellingClient.open(cluster.gates, gates[i % gates.length] as number, isOpen),
      ),
    );
    await Promise.all(clients.map(({ client }) => client.request('fan/join', { group })));
    senders = [worker(), gate(2)].map((node, i) => new NumberedSender(node, group, `p/s${i}`));
    await waitUntil('the first pushes', () => clients.every(({ client }) => client.pushed('p/s0').length > 5));
  }

  /** Stops the senders; resolves when each client has what was sent last, or was told that messages are missing. */
  async function finish(): Promise<ReturnType<TravellingClient['report']>[][]> {
    const sent = await Promise.all(senders.map(sender => sender.stop()));
    const reports = () => clients.map(each => senders.map(({ topic }, i) => each.report(topic, sent[i] as number)));
    await waitUntil('the clients to be settled', () => clients.every(({ isSettled }) => isSettled));
    await waitUntil('what was sent last', () =>
      reports().every((each, i) => clients[i]?.wasTold || each.every(({ missing }) => missing === 0)),
    );
    expect(senders.flatMap(({ refused }) => refused)).toEqual([]);
    return reports();
  }

  beforeEach(() => {
    clients = [];
    senders = [];
  });
  afterEach(async () => {
    await Promise.all(senders.map(sender => sender.stop()));
    await Promise.all(clients.map(client => client.end()));
  });

  it.each(['the gate that has the session', 'the gate that it moves to', 'the worker'] as const)(
    'doubles nothing and hides nothing when %s stands still',
    async who => {
      const [from, to] = [0, 1];
      const victim = who === 'the worker' ? worker() : gate(who === 'the gate that has the session' ? from : to);
      let told = 0;
      for (const ms of STEPS_MS) {
        await begin(from);
        const before = clients.map(({ client }) => client.clientId);
        for (const client of clients) client.travel(to);
        await delay(ms);
        victim.signal('SIGSTOP');
        await delay(STILL_MS);
        victim.signal('SIGCONT');
        const reports = await finish();
        for (const [i, each] of reports.flat().entries()) {
          expect(each).toMatchObject({ twice: 0, reordered: 0 });
          if (each.missing > 0) expect(clients[Math.floor(i / senders.length)]?.wasTold).toBe(true);
        }
        // It was too short for a gate to count as lost: each has kept its session.
        expect(clients.map(({ client }) => client.clientId)).toEqual(before);
        told += clients.filter(({ wasTold }) => wasTold).length;
        await Promise.all(clients.map(client => client.end()));
      }
      printFigures(`${who} stands still while ${CLIENTS} sessions move, over ${link}`, { clientsTold: told });
    },
  );

  it('loses no message and no request when a gate drains under load', async () => {
    await begin(0, 0, 1);
    const asking = setInterval(() => clients.forEach(client => client.ask()), 20);
    const started = performance.now();
    gate(0).signal('SIGTERM');
    closed.add(0);
    await waitUntil('the gate to end', () => gate(0).isOver, 15_000);
    const drainMs = performance.now() - started;
    clearInterval(asking);
    expect(await gate(0).exited).toEqual({ code: 0, signal: null });
    const reports = await finish();
    await waitUntil('all answers', () => clients.every(({ unanswered }) => unanswered === 0));
    expect(clients.flatMap(({ refusals }) => refusals)).toEqual([]);
    for (const [i, client] of clients.entries()) {
      const lost = client.wasTold ? { twice: 0, reordered: 0 } : NOTHING_LOST;
      for (const each of reports[i] ?? []) expect(each).toMatchObject(lost);
    }
    // Only where a process had no processor for so long that it has not turned in time.
    const told = clients.filter(({ wasTold }) => wasTold).length;
    const states = await Promise.all([gate(1), gate(2), worker()].map(node => node.state()));
    const lagMs = Math.max(...states.map(({ lagMax }) => lagMax), watch.take().max);
    expect({ told, isStarved: told > 0 && lagMs > LAG_MS }).toEqual({ told, isStarved: told > 0 });
    expect(clients.every(({ at }) => at !== 0)).toBe(true);
    const asked = clients.reduce((sum, each) => sum + each.asked.size, 0);
    printFigures(`a gate drains, over ${link}`, { drainMs: Math.round(drainMs), asked, clientsTold: told });
  });

  it('doubles nothing, and says what may be missing, when a gate is killed while its sessions move', async () => {
    await begin(1);
    // Half of them are on their way when it dies.
    for (const client of clients.slice(0, CLIENTS / 2)) client.travel(2);
    while (!clients.some(({ client }) => client.ownOf('resumed').length > 0)) await delay(1);
    closed.add(1);
    await gate(1).kill();
    const before = clients.map(({ client }) => client.clientId);
    const reports = await finish();
    for (const each of reports.flat()) expect(each).toMatchObject({ twice: 0, reordered: 0 });
    // Those that had not moved have lost their session, and know it.
    for (const client of clients.slice(CLIENTS / 2)) expect(client.refusals).toContain('RESUME_LOST');
    const moved = clients.filter(({ client }, i) => client.clientId === before[i]).length;
    const told = clients.filter(({ wasTold }) => wasTold).length;
    printFigures(`a gate is killed while sessions move, over ${link}`, { moved, told, clients: CLIENTS });
  });
});
