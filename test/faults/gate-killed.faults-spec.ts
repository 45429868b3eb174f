import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { waitUntil } from '@nestgate/testing';
import { FaultCluster, LINKS } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';
import { sumReports } from './support/ledger.js';
import type { LedgerClient } from './support/ledger-client.js';
import { Load } from './support/load.js';
import { NO_DEFECTS, unexpectedErrors } from './support/no-defects.js';
import { PushFlow, pushOf } from './support/push-flow.js';

/** How long a killed gate's clients may be seen, in milliseconds. */
const GHOSTS_MS = 10_000;
const ROOM = 'lobby';

describe.each(LINKS)('a gate that is killed with clients on it, over %s', link => {
  let cluster: FaultCluster;

  afterEach(() => cluster.end());

  it('takes its sockets with it, leaves no ghosts, and disturbs nobody else', async () => {
    cluster = await FaultCluster.start({ link });
    const doomed = await cluster.connect(0, 8);
    const others = await cluster.connect(1, 8);
    const [sender, asker, ...members] = await cluster.connect(1, 5);
    const [lost] = await cluster.connect(0, 1);
    // A uid with clients on both gates, and one that is only on the gate that dies.
    for (const [client, name] of [
      [doomed[0], 'ada'],
      [others[0], 'ada'],
      [doomed[1], 'bob'],
      [others[1], 'cyd'],
    ] as const) {
      await client!.call('chat/login', { name });
      await client!.call('chat/join', { room: ROOM });
    }
    await doomed[2]!.call('chat/join', { room: 'doomed' });
    expect(await asker!.call('chat/rooms')).toEqual({ rooms: { [ROOM]: 4, doomed: 1 } });
    const pushes = await PushFlow.start(pushOf(sender!), 'group', [...members, lost!]);
    const load = new Load([...doomed, ...others]);
    await load.flows(20);

    /** What a client sees of the cluster, or the code of the error that it gets instead. */
    async function view(client: LedgerClient): Promise<Record<string, unknown>> {
      const ask = async (topic: string, body?: object) => {
        const { body: answer, error } = await client.exchange(topic, body);
        return error ? error.code : answer;
      };
      const who = (await ask('chat/who', { room: ROOM })) as { uids?: string[] } | string;
      return {
        rooms: await ask('chat/rooms'),
        who: typeof who === 'object' ? who.uids?.sort() : who,
        ada: await ask('chat/whisper', { to: 'ada', text: 'hi' }),
        bob: await ask('chat/whisper', { to: 'bob', text: 'hi' }),
      };
    }
    const right = {
      rooms: { rooms: { [ROOM]: 2, group: members.length } },
      who: ['ada', 'cyd'],
      ada: { delivered: 1 },
      bob: { delivered: 0 },
    };
    const killedAt = Date.now();
    pushes.ledger.forget(lost!.name);
    await cluster.gates[0]!.kill();
    const errors = new Set<unknown>();
    await waitUntil(
      'the ghosts to be gone',
      async () => {
        const seen = await view(asker!);
        for (const answer of Object.values(seen)) if (typeof answer === 'string') errors.add(answer);
        return isDeepStrictEqual(seen, right);
      },
      GHOSTS_MS + 2_000,
    );
    const ghostsMs = Date.now() - killedAt;
    await load.flows();
    await load.stop();
    await pushes.stop();
    expect(await view(asker!)).toEqual(right);

    const effects = cluster.effects();
    const requests = sumReports(others.map(client => client.requests.report()));
    const gone = sumReports(doomed.map(client => client.requests.report()));
    printFigures(`gate killed, ${link}`, {
      requests,
      doomed: gone,
      pushes: pushes.ledger.total(),
      ghostsMs,
      errors: [...errors].join(' '),
      repeated: effects.repeated.length,
    });
    expect(ghostsMs).toBeLessThanOrEqual(GHOSTS_MS);
    expect([...errors].filter(code => code !== 'PARTIAL_RESULT')).toEqual([]);
    // Of the killed gate's clients only what was under way is lost, and they know it.
    for (const client of [...doomed, lost!]) expect(client.closedWith).toBe(1006);
    expect(gone).toMatchObject(NO_DEFECTS);
    expect(Object.keys(gone.errors)).toEqual(['CLOSED_1006']);
    expect(gone.errors['CLOSED_1006']).toBeLessThanOrEqual(3 * doomed.length);
    // The others have noticed nothing.
    for (const client of [...others, sender!, asker!, ...members]) expect(client.closedWith).toBeUndefined();
    expect(requests).toMatchObject({ ...NO_DEFECTS, errors: {} });
    expect(effects.repeated).toEqual([]);
    expect(pushes.ledger.total()).toMatchObject(NO_DEFECTS);
    expect(unexpectedErrors(pushes.ledger.total(), 'PARTIAL_RESULT')).toEqual([]);
    // A gate in its place starts without them.
    await cluster.startGate(0);
    await cluster.isWhole();
    const [fresh] = await cluster.connect(0, 1);
    await waitUntil('the new gate to see the same', async () => isDeepStrictEqual(await view(fresh!), right));
  });
});
