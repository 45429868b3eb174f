import { afterEach, describe, expect, it } from '@jest/globals';
import { LinkNode } from '@nestgate/link';
import { waitUntil } from '@nestgate/testing';
import { Stage } from '../support/gate-support.js';
import { requestsOf } from '../support/insides.js';

const LIMIT = 12;
/** Frames of one client that may be unanswered. */
const CREDIT = 4;
const FRAMES = 200;
const REQUEST_MS = 1_500;

describe('a gate whose table of requests is full', () => {
  let stage: Stage | undefined;
  const defects: unknown[] = [];
  const note = (error: unknown): void => void defects.push(error);

  afterEach(async () => {
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
    await stage?.close();
    stage = undefined;
  });

  it.each([
    ['that hosts its handlers', 0],
    ['with a worker', 1],
  ])('%s refuses each frame beyond with a code, returns its credit, and lives', async (_what, workers) => {
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
    stage = await Stage.open(workers, { concurrentTasks: CREDIT, requestTimeout: REQUEST_MS, messageRate: 0 });
    const { cluster, script } = stage;
    const node = cluster.gate.app.get(LinkNode);
    const full = () => requestsOf(node).size >= LIMIT;
    const [clients, late] = [await Promise.all([0, 1, 2].map(() => cluster.connect())), await cluster.connect()];
    expect(await late.request('script/note', 'early')).toBe('early');
    script.run = () => new Promise(() => undefined);

    requestsOf(node).limit = LIMIT;
    const stuck = clients.flatMap(client => Array.from({ length: CREDIT }, () => client.exchange('script/run')));
    await waitUntil('the table to be full', full);
    // More than its credit, and all in one chunk: each of them is refused when it is its turn.
    const refused = await Promise.all(Array.from({ length: FRAMES }, () => late.exchange('script/note', 'refused')));
    expect(new Set(refused.map(({ error }) => error?.code))).toEqual(new Set(['NO_WORKER']));
    // So is what the application asks of the gate, and a client that comes.
    await expect(cluster.api.isUidOnline('ada')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(cluster.api.bindUid(late.clientId, 'ada')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    const other = await cluster.connect();
    expect((await other.exchange('script/note', 'refused')).error?.code).toBe('NO_WORKER');

    const ends = await Promise.all(stuck);
    expect(new Set(ends.map(({ error }) => error?.code))).toEqual(new Set(['TIMEOUT']));
    for (const client of [late, other, ...clients]) {
      const all = Array.from({ length: 2 * CREDIT }, (_, n) => client.request('script/note', n));
      expect(await Promise.all(all)).toEqual(all.map((_, n) => n));
    }
    expect(await cluster.api.isUidOnline('ada')).toBe(false);
    expect([requestsOf(node).size, defects]).toEqual([0, []]);
    expect(script.seen).not.toContain('refused');
  });
});
