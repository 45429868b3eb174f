import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import type { GatewayApi } from '@nestgate/worker';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

const GATES = 2;
const WORKERS = 2;
const SEATS = 24;
const GROUPS = 6;
const TURNS = 400;
const TOPIC = 'fan/msg';

/** Whom a message is for. */
interface Address {
  readonly kind: 'client' | 'uid' | 'group' | 'all';
  readonly name: string;
}

/** A client, and who it is: everything that it gets must be for that. */
interface Guest {
  readonly client: FakeClient;
  readonly uid: string;
  readonly group: string;
  asked: number;
}

describe.each(LINKS)('clients that come, go and are pushed to all the time over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: TestCluster;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function arrive(seat: number): Promise<Guest> {
    const client = await cluster.connect({ gate: seat % GATES });
    const [uid, group] = [`user-${seat}`, `group-${seat % GROUPS}`];
    await client.request('chat/login', { name: uid });
    await client.request('fan/join', { group });
    return { client, uid, group, asked: 0 };
  }

  function isFor({ client, uid, group }: Guest, { kind, name: to }: Address): boolean {
    return kind === 'all' || to === { client: client.clientId, uid, group }[kind];
  }

  /** What a guest has got and should not have. */
  function foreign(guest: Guest): unknown[] {
    const { frames, clientId } = guest.client;
    return frames.filter(({ topic, id, body, error }) => {
      if (topic === TOPIC) return !isFor(guest, body as Address);
      // What it asked while it settled in has other answers.
      if (id !== undefined && id > 2) return error ?? (body as { from: string }).from !== clientId;
      return topic !== undefined && topic !== '$gate/hello';
    });
  }

  function send(api: GatewayApi, guest: Guest, turn: number): Promise<unknown> {
    const { client, uid, group } = guest;
    const body = (kind: Address['kind'], to: string): Address & { turn: number } => ({ kind, name: to, turn });
    if (turn % 20 === 0) return api.sendToAll(TOPIC, body('all', ''));
    if (turn % 3 === 0) return api.sendToUid(uid, TOPIC, body('uid', uid));
    if (turn % 3 === 1) return api.sendToGroup(group, TOPIC, body('group', group));
    return api.sendToClient(client.clientId, TOPIC, body('client', client.clientId));
  }

  it('get nothing that is for another', async () => {
    cluster = await createTestCluster({
      gates: GATES,
      workers: WORKERS,
      link: await links.forCluster(GATES),
      handlers: { imports: [HandlersModule] },
      gate: { messageRate: 0, maxConnectionsPerIp: 0 },
    });
    const guests = await Promise.all(Array.from({ length: SEATS }, (_, seat) => arrive(seat)));
    const gone: Guest[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      const seat = (turn * 7) % SEATS;
      const guest = guests[seat] as Guest;
      await Promise.all(cluster.workers.map(({ api }) => send(api, guest, turn)));
      guest.client.ask('echo/echo', { from: guest.client.clientId, turn });
      guest.asked++;
      if (turn % 8 !== 7) continue;
      // The next on this seat has the same uid and group, and another id.
      guest.client.socket.terminate();
      gone.push(guest);
      guests[seat] = await arrive(seat);
    }
    const answers = ({ client }: Guest): number => client.frames.filter(({ id = 0 }) => id > 2).length;
    await waitUntil('all answers', () => guests.every(guest => answers(guest) === guest.asked));

    const all = [...guests, ...gone];
    expect(all.flatMap(foreign)).toEqual([]);
    expect(all.reduce((sum, { client }) => sum + client.pushes(TOPIC).length, 0)).toBeGreaterThan(TURNS);
  });
});
