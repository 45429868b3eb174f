import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { countersOf, withNeighbour } from './support/raw-neighbour.js';
import { RawSocket, upgradeRequest } from './support/raw-socket.js';
import { closeFrame, fragments, OP, RawClient, textFrame, wsFrame } from './support/raw-websocket.js';

const MAX = 65_535;
const NOTHING = '{"topic":"echo/echo"}';
const FOX = Buffer.from('🦊');

/** An echo request of so many bytes. */
function echoOf(size: number, id = 1): string {
  const head = `{"topic":"echo/echo","id":${id},"body":"`;
  return `${head}${'x'.repeat(size - head.length - 2)}"}`;
}

/** A text in frames of so many bytes. */
function cut(text: string, size: number): Buffer {
  const data = Buffer.from(text);
  const parts = Array.from({ length: Math.ceil(data.length / size) }, (_, i) =>
    data.subarray(i * size, (i + 1) * size),
  );
  return fragments(...parts);
}

const FIRST = wsFrame({ fin: false, payload: '{"topic":' });
const REST = wsFrame({ opcode: OP.continuation, payload: '"echo/echo","id":1}' });
const LONG = 'p'.repeat(126);
const MANY = (count: number): string[] => Array.from({ length: count }, () => '');

type Row = readonly [name: string, codes: number | readonly number[], bytes: Uint8Array];

const VIOLATIONS: readonly Row[] = [
  ['an unmasked frame', 1002, wsFrame({ masked: false, payload: NOTHING })],
  ['an unmasked close', 1002, wsFrame({ masked: false, opcode: OP.close })],
  ['RSV1', 1002, wsFrame({ rsv: 4, payload: NOTHING })],
  ['RSV2', 1002, wsFrame({ rsv: 2, payload: NOTHING })],
  ['RSV3', 1002, wsFrame({ rsv: 1, payload: NOTHING })],
  ['RSV1 on a ping', 1002, wsFrame({ rsv: 4, opcode: OP.ping })],
  ['RSV1 on a continuation', 1002, Buffer.concat([FIRST, wsFrame({ rsv: 4, opcode: OP.continuation })])],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): Row => [
    `opcode ${opcode}`,
    1002,
    wsFrame({ opcode, payload: NOTHING }),
  ]),
  ['a ping of 126 bytes', 1002, wsFrame({ opcode: OP.ping, payload: LONG })],
  ['a pong of 126 bytes', 1002, wsFrame({ opcode: OP.pong, payload: LONG })],
  ['a close of 126 bytes', 1002, closeFrame(1000, LONG.slice(2))],
  ['a fragmented ping', 1002, wsFrame({ opcode: OP.ping, fin: false })],
  ['a fragmented close', 1002, wsFrame({ opcode: OP.close, fin: false })],
  ['a stray continuation', 1002, wsFrame({ opcode: OP.continuation, payload: NOTHING })],
  ['a continuation after the last', 1002, Buffer.concat([FIRST, REST, REST])],
  ['a new text inside a message', 1002, Buffer.concat([FIRST, textFrame(NOTHING)])],
  ['a new binary inside a message', 1002, Buffer.concat([FIRST, wsFrame({ opcode: OP.binary })])],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map((code): Row => [
    `close code ${code}`,
    1002,
    closeFrame(code),
  ]),
  ['a close of 1 byte', 1002, wsFrame({ opcode: OP.close, payload: Buffer.of(3) })],

  ['bad UTF-8', 1007, wsFrame({ payload: Buffer.from('7b22c328227d', 'hex') })],
  ['an encoded surrogate', 1007, wsFrame({ payload: Buffer.from('22eda08022', 'hex') })],
  ['an overlong slash', 1007, wsFrame({ payload: Buffer.from('22c0af22', 'hex') })],
  ['a code point over U+10FFFF', 1007, wsFrame({ payload: Buffer.from('22f490808022', 'hex') })],
  ['UTF-8 that is cut at the end', 1007, wsFrame({ payload: Buffer.concat([Buffer.from('"'), FOX.subarray(0, 3)]) })],
  ['UTF-8 that is cut at the last fragment', 1007, fragments('"', FOX.subarray(0, 2), FOX.subarray(2, 3))],
  ['bad UTF-8 in a close reason', 1007, closeFrame(1000, Buffer.of(0xc3, 0x28))],

  ['65,536 bytes', 1009, textFrame(echoOf(MAX + 1))],
  ['65,536 bytes in fragments', 1009, cut(echoOf(MAX + 1), 8_192)],
  ['a claim of 65,536 bytes', 1009, wsFrame({ claim: BigInt(MAX + 1) })],
  ['a claim of 2^31', 1009, wsFrame({ claim: 2n ** 31n })],
  ['a claim of 2^40', 1009, wsFrame({ claim: 2n ** 40n })],
  ['a claim of 2^53', 1009, wsFrame({ claim: 2n ** 53n })],
  ['a claim of 2^63', [1002, 1009], wsFrame({ claim: 2n ** 63n })],
  ['a claim of 2^64 - 1', [1002, 1009], wsFrame({ claim: 2n ** 64n - 1n })],

  ['65 fragments', 1008, cut(echoOf(65), 1)],
  ['5,000 empty fragments', 1008, fragments(...MANY(5_000))],
  ['5,000 pings', 1008, Buffer.concat(Array.from({ length: 5_000 }, () => wsFrame({ opcode: OP.ping, payload: 'p' })))],

  ['a binary frame', 1003, wsFrame({ opcode: OP.binary, payload: NOTHING })],
  ['an empty binary frame', 1003, wsFrame({ opcode: OP.binary })],
];

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

  it.each(VIOLATIONS)('that sends %s is closed with %j', (_name, codes, bytes) =>
    withNeighbour(cluster, async () => {
      const client = await RawClient.connect(port);
      await client.sync();
      client.send(bytes);
      expect([codes].flat()).toContain(await client.closed());
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

  it.each<Row>([
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
