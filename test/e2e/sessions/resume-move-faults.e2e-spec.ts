import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, type INestApplicationContext } from '@nestjs/common';
import { Gate } from '@nestgate/gate';
import { LinkNode } from '@nestgate/link';
import { moveContract, turnContract } from '@nestgate/link/internal';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnConnect, OnDisconnect, OnTopic, type Session } from '@nestgate/worker';
import { ResumeClient } from '../support/resume-client.js';

const hooks: string[] = [];
const never: (() => void)[] = [];

@Controller()
class FaultTopics {
  @OnConnect()
  connect(): void {
    hooks.push('connect');
  }

  @OnDisconnect()
  disconnect(@ClientSession() _session: Session): void {
    hooks.push('disconnect');
  }

  @OnTopic('fault/never')
  async never(): Promise<void> {
    await new Promise<void>(resolve => never.push(resolve));
  }

  @OnTopic('fault/echo')
  echo(): string {
    return 'here';
  }
}

const { resume } = moveContract;
const { turn } = turnContract;
const { turned, tail } = moveContract;

describe('a session that moves while something fails', () => {
  let cluster: TestCluster;
  let client: ResumeClient;

  beforeEach(async () => {
    hooks.length = 0;
    cluster = await createTestCluster({
      gates: 3,
      workers: 2,
      handlers: { controllers: [FaultTopics] },
      gate: { resume: { maxDetachedPerAddress: 0 }, messageRate: 0 },
    });
    client = await ResumeClient.open(url(0));
  });
  afterEach(async () => {
    client.cut();
    await cluster.close();
  });

  const url = (gate: number): string => (cluster.gates[gate] as { url: string }).url;
  const appOf = (kind: 'gates' | 'workers', index: number) =>
    (cluster[kind][index] as { app: INestApplicationContext }).app;
  const nodeOf = (kind: 'gates' | 'workers', index: number): LinkNode => appOf(kind, index).get(LinkNode);
  const counted = (gate: number, name: 'sessions_moved' | 'moves_in_doubt', label: string): number =>
    appOf('gates', gate).get(Gate).counters.get(name, label);
  const moveTo = (gate: number) => {
    client.url = url(gate);
    return client.resume();
  };
  const push = (body: unknown, from = 1) => cluster.workers[from]?.api.sendToClient(client.clientId, 'p/p', body);

  /** Calls `then` instead of the handler of an operation, once. It may run the handler later. */
  function intercept(node: LinkNode, { id }: { readonly id: number }, then: (run: () => void) => void): void {
    type Handle = (args: unknown, call: unknown) => unknown;
    const entries = Reflect.get(node.dispatcher, 'entries') as Map<number, { handle: Handle }>;
    const entry = entries.get(id) as { handle: Handle };
    const { handle } = entry;
    entries.set(id, {
      ...entry,
      handle: (args, call) => {
        entries.set(id, entry);
        then(() => void handle(args, call));
      },
    });
  }
  /** Ends a node's link without a word when it is asked for an operation. */
  const dieAt = (node: LinkNode, operation: { readonly id: number }) =>
    intercept(node, operation, () => void node.close({ drain: false }));
  const hangAt = (node: LinkNode, operation: { readonly id: number }) => intercept(node, operation, () => undefined);

  const works = async (): Promise<void> => {
    expect(await client.request('fault/echo')).toBe('here');
    const before = client.pushed('p/p').length;
    await push('works');
    await waitUntil('the push', () => client.pushed('p/p').length > before);
  };

  it('is told that the session is lost when its gate dies before it hands it over', async () => {
    dieAt(nodeOf('gates', 0), resume);
    const { session } = await moveTo(1);
    expect(client.ownOf('refused')).toMatchObject([{ code: 'RESUME_LOST' }]);
    expect(session).toBeDefined();
    await works();
  });

  it('is told to try again when its gate does not answer, and goes on when it does', async () => {
    hangAt(nodeOf('gates', 0), resume);
    client.url = url(1);
    await client.beginResume();
    expect(await client.closed()).toBe(1013);
    expect(client.ownOf('refused')).toMatchObject([{ code: 'RESUME_BUSY' }]);
    const { clientId } = client;
    expect((await client.resume()).clientId).toBe(clientId);
    await works();
    expect(client.gaps).toEqual([]);
  });

  it.each([
    ['turn', turn],
    ['turned', turned],
  ])('is told about a gap when the old gate dies at %s', async (_name, operation) => {
    const { clientId } = client;
    await push(1);
    await waitUntil('the push', () => client.pushed('p/p').length === 1);
    dieAt(nodeOf('gates', 0), operation);
    expect((await moveTo(1)).clientId).toBe(clientId);
    await waitUntil('the gap', () => client.gaps.length > 0);
    expect(client.gaps).toMatchObject([{ n: null, why: 'gate-lost' }]);
    client.seen = client.pushed('p/p').length;
    await works();
    expect(counted(1, 'moves_in_doubt', 'gate-lost')).toBe(1);
    expect(hooks).toEqual(['connect']);
  });

  it.each([
    ['turn', turn],
    ['tail', tail],
  ])('goes on where it was when the new gate dies at %s', async (_name, operation) => {
    const { clientId, ticket } = client;
    client.cut();
    await push(1);
    await push(2, 0);
    await waitUntil('the pushes', async () => (await cluster.api.getClientState(clientId)) === 'away');
    dieAt(nodeOf('gates', 1), operation);
    await moveTo(1);
    expect(client.ticket).not.toBe(ticket);
    await waitUntil('the end of the move', () => counted(0, 'sessions_moved', 'lost') === 1);
    // With the ticket that the dead gate has given.
    expect((await moveTo(2)).clientId).toBe(clientId);
    await waitUntil('the pushes', () => client.pushed('p/p').length === 2);
    expect(client.pushed('p/p')).toEqual([1, 2]);
    for (const { n } of client.gaps) expect(n).toBeNull();
    await works();
    expect(hooks).toEqual(['connect']);
  });

  it('ends its requests at once when the old gate dies that ran them', async () => {
    const id = client.ask('fault/never');
    await waitUntil('it runs', () => never.length === 1);
    await moveTo(1);
    await nodeOf('gates', 0).close({ drain: false });
    expect((await client.answer(id)).error).toMatchObject({ code: 'WORKER_LOST' });
    never.pop()?.();
    expect(await client.request('fault/echo')).toBe('here');
  });

  it('is lost when the new gate dies after the hand-over', async () => {
    await moveTo(1);
    await works();
    await nodeOf('gates', 1).close({ drain: false });
    await moveTo(2);
    expect(client.ownOf('refused')).toMatchObject([{ code: 'RESUME_LOST' }]);
    await works();
  });

  it.each([
    ['a worker', 'workers', 0],
    ['a third gate', 'gates', 2],
  ] as const)('is told that messages of %s are in doubt when it does not turn in time', async (_name, kind, index) => {
    hangAt(nodeOf(kind, index), turn);
    await moveTo(1);
    await push(1, 1);
    await waitUntil('the gap', () => client.gaps.length > 0);
    expect(client.gaps).toMatchObject([{ n: null, why: 'link' }]);
    await waitUntil('the push', () => client.pushed('p/p').length === 1);
    client.seen = 1;
    await works();
    expect(counted(1, 'moves_in_doubt', 'link')).toBe(1);
  });

  it('goes on without a gap when a worker dies instead of turning', async () => {
    dieAt(nodeOf('workers', 0), turn);
    await moveTo(1);
    await push(1, 1);
    await waitUntil('the push', () => client.pushed('p/p').length === 1);
    expect(client.gaps).toEqual([]);
    expect(counted(1, 'moves_in_doubt', 'link')).toBe(0);
  });

  describe('between the fence and the end', () => {
    let open: () => void;

    beforeEach(async () => {
      const isOpen = new Promise<void>(resolve => (open = resolve));
      intercept(nodeOf('workers', 0), turn, run => void isOpen.then(run));
      await cluster.api.joinGroup(client.clientId, 'old');
      await moveTo(1);
    });

    it('can be joined, left, bound and changed; pushes that follow reach it once', async () => {
      const { clientId } = client;
      const api = cluster.workers[0]?.api as TestCluster['api'];
      const changes = Promise.all([
        api.joinGroup(clientId, 'new').then(() => api.sendToGroup('new', 'p/p', 'new')),
        api.leaveGroup(clientId, 'old').then(() => api.sendToGroup('old', 'p/p', 'old')),
        api.bindUid(clientId, 'ada').then(() => api.sendToUid('ada', 'p/p', 'uid')),
        api.updateSession(clientId, { a: 1 }),
      ]);
      open();
      await changes;
      await push('end', 0);
      await waitUntil('the pushes', () => client.pushed('p/p').includes('end'));
      expect((client.pushed('p/p') as string[]).toSorted()).toEqual(['end', 'new', 'uid']);
      expect(await cluster.api.getSession(clientId)).toEqual({ a: 1 });
      expect(await cluster.api.getClientIdByUid('ada')).toEqual([clientId]);
      expect(await cluster.api.getClientCountByGroup('old')).toBe(0);
      expect(client.gaps).toEqual([]);
    });

    it.each(['closeClient', 'revoke', 'ungroup'] as const)('takes part in %s', async name => {
      const { clientId } = client;
      const { api } = cluster;
      if (name === 'ungroup') {
        await api.ungroup('old');
        open();
        await works();
        await api.sendToGroup('old', 'p/p', 'old');
        await works();
        expect(client.pushed('p/p')).not.toContain('old');
        expect(await api.getClientCountByGroup('old')).toBe(0);
        return;
      }
      if (name === 'revoke') {
        open();
        await api.bindUid(clientId, 'eve');
        await api.revoke('eve');
      } else {
        const closing = api.closeClient(clientId);
        open();
        expect(await closing).toBe(true);
      }
      expect(await client.closed()).toBe(name === 'revoke' ? 1008 : 4002);
      await waitUntil('its end', () => hooks.includes('disconnect'));
      expect(hooks).toEqual(['connect', 'disconnect']);
      expect(await api.isOnline(clientId)).toBe(false);
    });
  });

  it('lets the last of ten sockets on three gates win; the others are closed with 4004, or told to try again', async () => {
    client.cut();
    for (const body of [1, 2, 3]) await push(body);
    const racers = Array.from({ length: 10 }, (_, i) =>
      Object.assign(new ResumeClient(url(i % 3)), {
        clientId: client.clientId,
        ticket: client.ticket,
        seen: 0,
        isAcking: false,
      }),
    );
    await Promise.all(racers.map(racer => racer.beginResume()));
    await waitUntil('an end of the race', () => racers.filter(({ closedWith }) => !closedWith).length <= 1, 10_000);
    const winner = racers.find(({ closedWith }) => !closedWith);
    for (const racer of racers) if (racer !== winner) expect([1013, 4004, 4005]).toContain(racer.closedWith?.code);
    await push(4);
    await waitUntil('the pushes', () => winner?.pushed('p/p').length === 4);
    expect(winner?.pushed('p/p')).toEqual([1, 2, 3, 4]);
    for (const racer of racers) racer.cut();
  }, 20_000);
});
