import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { Gate } from '@nestgate/gate';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnTopic, type Session } from '@nestgate/worker';
import { type Frame, ResumeClient } from '../support/resume-client.js';

/** What the handlers have begun, by client. */
const handled = new Map<string, unknown[]>();

@Controller()
class LedgerTopics {
  @OnTopic('ledger/take')
  take(@Payload() body: unknown, @ClientSession() session: Session): unknown {
    const list = handled.get(session.clientId) ?? [];
    handled.set(session.clientId, list);
    list.push(body);
    return body;
  }
}

/** Ends a connection when so many bytes have gone through it in one direction. */
class CuttingProxy {
  up = Number.POSITIVE_INFINITY;
  down = Number.POSITIVE_INFINITY;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    target: number,
  ) {
    server.on('connection', near => {
      const far = connect(target, '127.0.0.1');
      this.pass(near, far, this.up);
      this.pass(far, near, this.down);
    });
  }

  static async start(target: number): Promise<CuttingProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new CuttingProxy(server, target);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private pass(from: Socket, to: Socket, bytes: number): void {
    let left = bytes;
    this.sockets.add(from);
    from.on('error', () => from.destroy());
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
    from.on('data', chunk => {
      const part = chunk.subarray(0, left);
      left -= part.length;
      if (part.length > 0) to.write(part);
      if (left > 0) return;
      // What has been passed on arrives; nothing behind it does.
      from.removeAllListeners('data').resume();
      to.end(() => from.destroy());
    });
  }
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a ledger of resumed sessions', () => {
  let cluster: TestCluster;
  let proxy: CuttingProxy;
  let direct: string;
  let cut: string;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { controllers: [LedgerTopics] },
      gate: {
        resume: { frames: 50, maxDetachedPerAddress: 0 },
        messageRate: 0,
        maxConnectionsPerIp: 0,
        maxConnectionRate: 0,
      },
    });
    proxy = await CuttingProxy.start(cluster.gate.port);
    direct = cluster.gate.url;
    cut = direct.replace(/:\d+/, `:${proxy.port}`);
  });
  afterAll(async () => {
    await proxy.close();
    await cluster.close();
  });

  const push = async (client: ResumeClient, from: number, to: number): Promise<void> => {
    for (const body of numbers(from, to)) await cluster.api.sendToClient(client.clientId, 'p/p', body);
  };
  const away = (client: ResumeClient) =>
    waitUntil('the client to be away', async () => (await cluster.api.getClientState(client.clientId)) === 'away');

  it('loses and repeats nothing when the connection is cut at any byte of what the gate sends', async () => {
    const client = await ResumeClient.open(direct);
    client.url = cut;
    let last = 0;
    let lost = 0;
    // 150 bytes of the response to the upgrade, then `resumed` and three frames.
    for (let bytes = 150; bytes < 480; bytes++) {
      client.cut();
      await away(client);
      // As many as the ring has room for: the cuts before the first frame let none arrive.
      if (last - client.seen < 40) {
        await push(client, last + 1, last + 3);
        last += 3;
      }
      proxy.down = bytes;
      await client.beginResume();
      await waitUntil('the cut', () => client.closedWith ?? client.pushed('p/p').length === last);
      if (client.closedWith) lost++;
    }
    proxy.down = Number.POSITIVE_INFINITY;
    await client.resume();
    await waitUntil('all pushes', () => client.pushed('p/p').length >= last);
    expect([client.pushed('p/p'), client.gaps]).toEqual([numbers(1, last), []]);
    expect(lost).toBeGreaterThan(200);
    client.cut();
  }, 60_000);

  it('loses and repeats nothing when the connection is cut at any byte of what the client sends', async () => {
    const client = await ResumeClient.open(direct);
    client.url = cut;
    let last = 0;
    const length = 225;
    for (let bytes = length; bytes < length + 420; bytes++) {
      client.cut();
      client.send({ topic: 'ledger/take', body: ++last, id: last });
      proxy.up = bytes;
      await client.beginResume();
      await waitUntil('the cut', () => client.closedWith ?? client.frames.some(({ id }) => id === last));
    }
    proxy.up = Number.POSITIVE_INFINITY;
    client.cut();
    await client.resume();
    await waitUntil('all answers', () => client.frames.filter(({ id }) => id !== undefined).length >= last);
    expect(handled.get(client.clientId)).toEqual(numbers(1, last));
    expect(client.frames.map(({ id }) => id)).toEqual(numbers(1, last));
    client.cut();
  }, 60_000);

  it('goes on after five cuts behind the next ticket and before it arrives', async () => {
    const client = await ResumeClient.open(direct);
    await push(client, 1, 2);
    await waitUntil('the pushes', () => client.pushed('p/p').length === 2);
    const first = client.ticket;
    for (let i = 0; i < 5; i++) {
      client.cut();
      // It does not hear what the gate answers.
      const deaf = new ResumeClient(direct);
      Object.assign(deaf, { clientId: client.clientId, ticket: client.ticket, seen: client.seen, sent: client.sent });
      deaf.isAcking = false;
      await deaf.resume();
      expect(deaf.ticket).not.toBe(first);
      await push(client, 3 + i, 3 + i);
      deaf.cut();
    }
    await client.resume();
    await waitUntil('the pushes', () => client.pushed('p/p').length === 7);
    expect(client.pushed('p/p')).toEqual(numbers(1, 7));
    // From here on the old ticket is worth nothing.
    client.cut();
    const old = new ResumeClient(direct);
    Object.assign(old, { clientId: client.clientId, ticket: first, seen: client.seen });
    await old.resume();
    expect(old.ownOf('refused')).toMatchObject([{ code: 'RESUME_DENIED' }]);
    old.cut();
    await client.resume();
    expect(client.ownOf('refused')).toEqual([]);
    client.cut();
  });

  it.each([2, 10])('lets the last of %i sockets with one ticket win; the others are closed with 4004', async count => {
    const client = await ResumeClient.open(direct);
    client.cut();
    await push(client, 1, 5);
    const racers = numbers(1, count).map(() => {
      const racer = new ResumeClient(direct);
      racer.isAcking = false;
      return Object.assign(racer, { clientId: client.clientId, ticket: client.ticket, seen: 0 });
    });
    await Promise.all(racers.map(racer => racer.beginResume()));
    await waitUntil('one winner', () => racers.filter(({ closedWith }) => !closedWith).length === 1);
    const [winner] = racers.filter(({ closedWith }) => !closedWith) as [ResumeClient];
    for (const racer of racers) if (racer !== winner) expect(racer.closedWith?.code).toBe(4004);
    await push(client, 6, 8);
    await waitUntil('the pushes', () => winner.pushed('p/p').length >= 8);
    expect(winner.pushed('p/p')).toEqual(numbers(1, 8));
    winner.cut();
  });

  it('survives a hundred cuts in a row, with nothing sent, and with frames on the way', async () => {
    const client = await ResumeClient.open(direct);
    const { clientId } = client;
    for (let i = 0; i < 20; i++) {
      client.cut();
      const { from, heard } = await client.resume();
      expect([from, heard, client.clientId]).toEqual([1, 0, clientId]);
    }
    for (let i = 1; i <= 100; i++) {
      client.send({ topic: 'ledger/take', body: i, id: i });
      await cluster.api.sendToClient(clientId, 'p/p', i);
      client.cut();
      await client.resume();
    }
    await waitUntil('all frames', () => client.frames.length >= 200);
    expect(client.pushed('p/p')).toEqual(numbers(1, 100));
    expect(handled.get(clientId)).toEqual(numbers(1, 100));
    expect(client.frames.flatMap(({ id }) => id ?? [])).toEqual(numbers(1, 100));
    client.cut();
  }, 30_000);

  it.each([51, 500])(
    'says exactly what is missing when %i messages were pushed to a client that is away',
    async count => {
      const client = await ResumeClient.open(direct);
      await push(client, 1, 3);
      await waitUntil('the pushes', () => client.pushed('p/p').length === 3);
      client.cut();
      await away(client);
      await push(client, 4, 3 + count);
      expect((await client.resume()).from).toBe(3 + count - 49);
      await waitUntil('the pushes', () => client.pushed('p/p').length === 53);
      expect(client.gaps).toEqual([{ from: 4, n: count - 50, why: 'overrun' }]);
      expect(client.pushed('p/p')).toEqual([1, 2, 3, ...numbers(3 + count - 49, 3 + count)]);
      // Before the frames that follow.
      expect(client.own.slice(-2).map(({ topic }) => topic)).toEqual(['$gate/resumed', '$gate/gap']);
      client.cut();
    },
  );

  it('says exactly what is missing to a client that is connected and does not read', async () => {
    const client = await ResumeClient.open(direct);
    const pad = 'x'.repeat(60_000);
    let pushed = 0;
    client.socket?.pause();
    const { counters } = cluster.gate.app.get(Gate);
    const before = counters.get('packs_dropped', 'overrun');
    // Until its socket is full, and then ten times what is kept for it.
    while (counters.get('packs_dropped', 'overrun') - before < 50) {
      await cluster.api.sendToClient(client.clientId, 'p/p', [++pushed, pad], { confirm: true });
    }
    client.socket?.resume();
    await waitUntil(
      'the last push',
      () => (client.pushed('p/p').at(-1) as [number] | undefined)?.[0] === pushed,
      20_000,
    );
    const got = client.pushed('p/p').map(body => (body as [number])[0]);
    const missing = client.gaps.flatMap(({ from, n }) => numbers(from, from + n - 1));
    expect(client.gaps.length).toBeGreaterThan(0);
    expect([...got, ...missing].toSorted((a, b) => a - b)).toEqual(numbers(1, pushed));
    expect(got).toEqual(got.toSorted((a, b) => a - b));
    expect(await cluster.api.getClientState(client.clientId)).toBe('online');
    client.cut();
  }, 40_000);

  it('delivers replies of requests that were running when the connection was lost', async () => {
    const client = await ResumeClient.open(direct);
    const frames: Frame[] = numbers(1, 30).map(id => ({ topic: 'ledger/take', body: id, id }));
    for (const frame of frames) client.send(frame);
    client.cut();
    await away(client);
    await client.resume();
    await waitUntil('all answers', () => client.frames.length >= 30);
    expect(client.frames.map(({ id }) => id)).toEqual(numbers(1, 30));
    expect(handled.get(client.clientId)).toEqual(numbers(1, 30));
    client.cut();
  });

  it('resumes all of 1,000 clients that are cut at once', async () => {
    const clients = await Promise.all(numbers(1, 1_000).map(() => ResumeClient.open(direct)));
    await cluster.api.sendToAll(
      'p/p',
      1,
      clients.map(({ clientId }) => clientId),
    );
    for (const client of clients) client.cut();
    await cluster.api.sendToAll(
      'p/p',
      2,
      clients.map(({ clientId }) => clientId),
    );
    await Promise.all(clients.map(client => client.resume()));
    await cluster.api.sendToAll(
      'p/p',
      3,
      clients.map(({ clientId }) => clientId),
    );
    await waitUntil('all pushes', () => clients.every(client => client.pushed('p/p').length === 3), 20_000);
    expect(clients.every(client => client.pushed('p/p').join() === '1,2,3')).toBe(true);
    expect(clients.flatMap(client => client.ownOf('refused'))).toEqual([]);
    for (const client of clients) client.cut();
  }, 60_000);

  it('writes nothing to a socket that was half-open when the session has gone on with another one', async () => {
    const client = await ResumeClient.open(direct);
    await push(client, 1, 2);
    await waitUntil('the pushes', () => client.pushed('p/p').length === 2);
    // Nothing is read from it, and nothing is heard of it.
    const { socket } = client;
    const late: string[] = [];
    socket?.pause();
    socket?.on('message', data => late.push((data as Buffer).toString()));
    const codes: number[] = [];
    socket?.on('close', code => codes.push(code));
    client.socket = undefined;
    await client.resume();
    await push(client, 3, 5);
    await waitUntil('the pushes', () => client.pushed('p/p').length === 5);
    socket?.resume();
    await waitUntil('its end', () => codes.length > 0);
    expect([late, codes]).toEqual([[], [4004]]);
    expect(client.pushed('p/p')).toEqual(numbers(1, 5));
    client.cut();
  });
});
