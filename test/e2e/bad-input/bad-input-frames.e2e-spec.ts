import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import {
  cut,
  echoOf,
  FIRST,
  type FrameCase,
  LONG,
  MAX,
  NOTHING,
  REST,
  VIOLATIONS,
} from './support/bad-input-frames-cases.js';
import { countersOf, withNeighbour } from '../support/raw-neighbour.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { closeFrame, fragments, OP, RawClient, textFrame, wsFrame } from '../support/raw-websocket.js';

describe('a WebSocket client', () => {
  let cluster: TestCluster;
  let port: number;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { maxConnectionsPerIp: 0, messageRate: 0 },
    });
    ({ port } = cluster.gate);
  });

  afterAll(() => cluster.close());

  it.each(VIOLATIONS)('that sends %s is closed with %j', (_name, code, bytes) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      await client.sync();
      client.send(bytes);
      expect(await client.closed()).toBe(code);
      expect(client.framesAfterClose).toBe(0);
    }),
  );

  it('is counted by the code it is closed with', () =>
    withNeighbour(cluster, async () => {
      const uncounted: string[] = [];
      for (const [name, , bytes] of VIOLATIONS) {
        const client = await RawClient.connect(port);
        const before = countersOf(cluster).snapshot()['connections_closed'] ?? {};
        client.send(bytes);
        const code = String(await client.closed());
        await waitUntil('the gate to forget it', async () => (await cluster.api.getAllClientCount()) === 1);
        const after = countersOf(cluster).snapshot()['connections_closed'] ?? {};
        if (after[code] !== (before[code] ?? 0) + 1) uncounted.push(`${name}: ${code}`);
      }
      expect(uncounted).toEqual([]);
    }));

  it.each<FrameCase>([
    ['an unmasked frame', 1002, wsFrame({ masked: false, payload: NOTHING })],
    ['bad UTF-8', 1007, wsFrame({ payload: Buffer.of(0xff) })],
    ['a frame that is too large', 1009, textFrame(echoOf(MAX + 1))],
    ['a binary frame', 1003, wsFrame({ opcode: OP.binary })],
    ['a close', 1000, closeFrame(1000)],
  ])('that sends requests, %s and more requests in one segment is closed with %d', (_name, code, bytes) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      const requests = (first: number): Buffer =>
        Buffer.concat(Array.from({ length: 30 }, (_, i) => textFrame(echoOf(100, first + i))));
      client.send(Buffer.concat([requests(101), bytes, requests(201)]));
      expect(await client.closed()).toBe(code);
      expect(client.framesAfterClose).toBe(0);
      const answered = client.frames.map(frame => frame.id);
      expect(answered).toEqual(Array.from({ length: answered.length }, (_, i) => 101 + i));
      expect(answered.length).toBeLessThanOrEqual(30);
    }),
  );

  it('gets nothing behind a close frame', () =>
    withNeighbour(cluster, async () => {
      const ends = [wsFrame({ masked: false }), wsFrame({ opcode: OP.binary }), closeFrame(1000)];
      const clients = await Promise.all(ends.map(() => RawClient.connect(port, { stubborn: true })));
      const witness = await cluster.connect();
      for (const client of clients) client.sendText('{"topic":"echo/slow","id":1,"body":{"ms":60}}');
      const slow = witness.ask('echo/slow', { ms: 120 });
      for (const [i, end] of ends.entries()) clients[i]?.send(end);
      await witness.answer(slow);
      await witness.close();
      await waitUntil('the close frames', () => clients.every(client => client.closeCode !== undefined));
      expect(clients.map(client => [client.closeCode, client.framesAfterClose])).toEqual([
        [1002, 0],
        [1003, 0],
        [1000, 0],
      ]);
    }));

  it.each([1000, 1001, 1003, 1011, 3000, 4999, 1005])('may close with %d (1005: without a code)', code =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.send(code === 1005 ? wsFrame({ opcode: OP.close }) : closeFrame(code, 'bye 🦊'));
      expect(await client.closed()).toBe(code);
    }),
  );

  it('may vanish in the middle of a frame and of a message', () =>
    withNeighbour(cluster, async () => {
      const cuts = [textFrame(echoOf(200)).subarray(0, 100), FIRST, wsFrame({ claim: 60_000n }), Buffer.of(0x81)];
      for (const bytes of cuts) {
        const [leaving, resetting] = [await RawClient.connect(port), await RawClient.connect(port)];
        leaving.send(bytes);
        leaving.socket.socket.end();
        resetting.send(bytes);
        resetting.socket.reset();
      }
      await waitUntil('the gate to notice', async () => (await cluster.api.getAllClientCount()) === 1);
    }));

  it.each<[name: string, bytes: Uint8Array]>([
    ['65,535 bytes', textFrame(echoOf(MAX))],
    ['65,535 bytes in fragments', cut(echoOf(MAX), 8_192)],
    ['64 fragments', cut(echoOf(64), 1)],
    ['empty fragments around', fragments('', echoOf(80), '')],
    ['a character that is divided among fragments', cut('{"topic":"echo/echo","id":1,"body":"🦊é"}', 37)],
    ['a ping between fragments', Buffer.concat([FIRST, wsFrame({ opcode: OP.ping, payload: 'in between' }), REST])],
    ['unasked pongs', Buffer.concat([wsFrame({ opcode: OP.pong, payload: 'x' }), textFrame(echoOf(60))])],
    ['a ping of 125 bytes', Buffer.concat([wsFrame({ opcode: OP.ping, payload: LONG.slice(1) }), FIRST, REST])],
  ])('may send %s', (_name, bytes) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.send(bytes);
      expect((await client.answer(1)).error).toBeUndefined();
      await client.sync();
      expect(client.pongs).toEqual(bytes.includes(0x89) ? [expect.any(String)] : []);
    }),
  );

  it('gets the whole of the largest body back', () =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      client.sendText(echoOf(MAX));
      const { body } = JSON.parse(echoOf(MAX)) as { body: string };
      expect((await client.answer(1)).body === body).toBe(true);
    }));

  it('may ping 30 times at once', () =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      const texts = Array.from({ length: 30 }, (_, i) => `ping ${i}`);
      client.send(Buffer.concat(texts.map(payload => wsFrame({ opcode: OP.ping, payload }))));
      await client.sync();
      expect(client.pongs).toEqual(texts);
    }));

  it('may send a byte at a time', () =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      await client.socket.drip(Buffer.concat([FIRST, wsFrame({ opcode: OP.ping, payload: 'slow' }), REST]));
      await client.answer(1);
      expect(client.pongs).toEqual(['slow']);
    }));

  it.each([
    ['behind the upgrade', true],
    ['later', false],
  ])('may send hundreds of frames in one segment, %s, and gets the answers in order', (_name, behind) =>
    withNeighbour(cluster, async () => {
      const ids = Array.from({ length: 500 }, (_, i) => i + 1);
      const frames = Buffer.concat(ids.map(id => textFrame(`{"topic":"echo/echo","body":${id},"id":${id}}`)));
      const socket = await RawSocket.open(port);
      const request = Buffer.from(upgradeRequest());
      const client = await RawClient.over(socket, behind ? Buffer.concat([request, frames]) : request);
      if (!behind) client.send(frames);
      await client.answer(500);
      expect(client.frames).toEqual(ids.map(id => ({ id, body: id })));
    }),
  );
});
