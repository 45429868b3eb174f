import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { BlackHole } from './support/black-hole.js';
import { FaultCluster } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS } from './support/no-defects.js';

const CLIENTS = 6;
/** The heartbeat of these gates, and how often each client is looked at, in milliseconds. */
const PING_MS = 400;
const DEAD_MS = 1_200;
const SWEEP_MS = PING_MS / 5;
/** How late a busy machine may see it, in milliseconds. */
const TOLERANCE_MS = 500;
const ROOM = 'lobby';

describe('clients whose network disappears silently', () => {
  let cluster: FaultCluster;
  let hole: BlackHole;
  const lost: LedgerClient[] = [];

  afterEach(async () => {
    for (const client of lost.splice(0)) client.end();
    await hole.end();
    await cluster.end();
  });

  it('are closed by the heartbeat in time, with all that the cluster knew of them', async () => {
    const gate = { pingInterval: PING_MS, heartOverTimer: DEAD_MS };
    cluster = await FaultCluster.start({ link: 'tcp', workers: 1, gate });
    hole = await BlackHole.start(cluster.gates[0]!.port);
    for (let i = 0; i < CLIENTS; i++) lost.push(await LedgerClient.connect(hole.port, cluster.run, `lost-${i}`));
    const others = [...(await cluster.connect(0, 3)), ...(await cluster.connect(1, 3))];
    const idle = await cluster.connect(0, 2);
    for (const [i, client] of [...lost, ...others].entries()) {
      await client.call('chat/login', { name: `user-${i}` });
      await client.call('chat/join', { room: ROOM });
    }
    const load = new Load(others);
    const onGate = lost.length + 3 + idle.length;
    // They answer pings: nobody is closed before the time that silence may take is over.
    const settledAt = Date.now();
    await waitUntil('a while to pass', () => Date.now() - settledAt > DEAD_MS + SWEEP_MS);
    expect((await cluster.gates[0]!.state()).clients).toBe(onGate);
    const sockets = cluster.gates[0]!.sockets;

    hole.swallow();
    const seen = async () => (await cluster.gates[0]!.state()).clients ?? 0;
    await waitUntil('the gate to give them up', async () => (await seen()) === onGate - CLIENTS, 3 * DEAD_MS);
    const closedMs = Date.now() - hole.lastAt;
    const asker = others[3]!;
    const { rooms } = await asker.call<{ rooms: Record<string, number> }>('chat/rooms');
    const { uids } = await asker.call<{ uids: string[] }>('chat/who', { room: ROOM });
    const whispered = await asker.call('chat/whisper', { to: 'user-0', text: 'hello?' });
    await waitUntil('their sockets to be gone', () => cluster.gates[0]!.sockets === sockets - CLIENTS);
    const socketsMs = Date.now() - hole.lastAt;
    await load.flows(5);
    await load.stop();

    const { counts, unanswered } = await cluster.gates[0]!.state();
    printFigures(`${CLIENTS} half-open clients, dead after ${DEAD_MS} ms`, {
      requests: load.report(),
      closedMs,
      socketsMs,
      ghosts: (rooms[ROOM] ?? 0) - others.length,
    });
    expect(closedMs).toBeGreaterThanOrEqual(DEAD_MS - PING_MS);
    expect(closedMs).toBeLessThanOrEqual(DEAD_MS + SWEEP_MS + TOLERANCE_MS);
    expect(counts?.['connections_closed']).toEqual({ 4003: CLIENTS });
    expect(rooms).toEqual({ [ROOM]: others.length });
    expect(uids.sort()).toEqual(others.map((_, i) => `user-${CLIENTS + i}`).sort());
    expect(whispered).toEqual({ delivered: 0 });
    expect(unanswered).toBe(0);
    expect(load.report()).toMatchObject({ ...NO_DEFECTS, errors: {} });
    for (const client of [...others, ...idle]) expect(client.closedWith).toBeUndefined();
  });
});
