import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type BinaryClient, waitUntil } from '@nestgate/testing';
import { WebSocket } from 'ws';
import { BinaryBench, type Network, NETWORKS } from '../support/binary-support.js';

type Codec = 'pack' | 'frame';

/** What no pack or frame is, as hex. Over TCP the stream goes on behind it, so that what is only too short is not here. */
const BROKEN: Readonly<Record<Codec, readonly (readonly [what: string, bytes: string])[]>> = {
  pack: [
    ['a total of 0', '0000'],
    ['a total of 1', '010000'],
    ['a total of 2', '0200'],
    ['half of a topic length', '030001'],
    ['a topic longer than the pack', '07000400612f62'],
    ['a topic of 65,535 bytes', '0700ffff612f62'],
  ],
  frame: [
    ['a length of 0', '00000000'],
    ['a kind alone', '0100000000'],
    ['a request that ends in its id', '0400000001070000'],
    ['a request that ends behind its id', '050000000107000000'],
    ['a topic longer than the frame', '0400000000020061'],
    ['a ping whose topic is longer than the frame', '03000000040100'],
  ],
};

/** What is broken over WebSocket, where a frame ends with its message, and only unfinished over TCP. */
const UNFINISHED: Readonly<Record<Codec, readonly string[]>> = {
  pack: ['', '05', '0600010061', '0400010061', '05000100610500010061'],
  frame: ['', '030000', '0500000000010061', '0300000000010061', '0300000004000003000000040000', 'ffffffff00010061'],
};

/** Lengths over the limit of 65,535 bytes that a client may claim over TCP. */
const CLAIMS = ['fcff0000', '00000100', 'ffffff7f', 'ffffffff'];

const CASES = NETWORKS.flatMap(network => (['pack', 'frame'] as const).map(codec => [codec, network] as const));

describe.each(CASES)('gate.%s over %s', (codec: Codec, network: Network) => {
  let bench: BinaryBench;
  let neighbour: BinaryClient;
  const clients: BinaryClient[] = [];

  beforeAll(async () => {
    bench = await BinaryBench.start({ tcp: { port: 0, codec } });
    neighbour = await bench.connect(network, { codec });
  });
  afterAll(() => bench.close());

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await bench.left(1);
    const seen = neighbour.messages.length;
    neighbour.send('echo/echo', 'here');
    await waitUntil('the neighbour to get its echo', () => neighbour.messages.length > seen);
    expect(neighbour.messages.at(-1)?.body.toString()).toBe('here');
  });

  async function connect(): Promise<BinaryClient> {
    const client = await bench.connect(network, { codec });
    clients.push(client);
    return client;
  }

  /** Sends bytes, and expects the gate to answer with nothing but a close. */
  async function expectClose(bytes: Uint8Array, code: number): Promise<void> {
    const client = await connect();
    const counted = bench.counters.get('connections_closed', code);
    if (codec === 'frame') await waitUntil('the hello', () => client.messages.length === 1);
    client.sendRaw(bytes);
    const closed = await client.closed;
    expect([Buffer.from(bytes).toString('hex', 0, 16), closed.code]).toEqual([
      Buffer.from(bytes).toString('hex', 0, 16),
      network === 'ws' ? code : 0,
    ]);
    expect(bench.counters.get('connections_closed', code)).toBe(counted + 1);
    expect(client.messages.length).toBe(codec === 'frame' ? 1 : 0);
  }

  it.each(BROKEN[codec])('closes for %s', async (_what, bytes) => {
    await expectClose(Buffer.from(bytes, 'hex'), 1002);
    // Nothing behind it is looked at any more.
    if (network === 'tcp') {
      await expectClose(Buffer.concat([Buffer.from(bytes, 'hex'), neighbour.encode(0, 0, 'echo/echo')]), 1002);
    }
  });

  it('answers what came before', async () => {
    const client = await connect();
    client.send('echo/echo', 'first');
    await client.push('echo/echo');
    client.send('echo/echo', 'second');
    client.sendRaw(Buffer.from((BROKEN[codec][0] as readonly string[])[1] as string, 'hex'));
    await client.closed;
    expect(client.pushes('echo/echo')[0]?.body.toString()).toBe('first');
  });

  if (network === 'ws') {
    it.each(UNFINISHED[codec])('closes for a message of the bytes %j', async bytes => {
      await expectClose(Buffer.from(bytes, 'hex'), 1002);
    });

    it('closes for a text frame with 1003', async () => {
      const client = await connect();
      (client.transport as WebSocket).send('{"topic":"echo/echo"}');
      expect((await client.closed).code).toBe(1003);
      expect(client.pushes('echo/echo')).toEqual([]);
    });

    it('takes 65,535 bytes, and closes for 65,536 with 1009', async () => {
      const client = await connect();
      const overhead = client.encode(0, 0, 'echo/echo').length;
      client.send('echo/echo', Buffer.alloc(65_535 - overhead));
      expect((await client.push('echo/echo')).body.length).toBe(65_535 - overhead);
      const larger = Buffer.concat([client.encode(0, 0, 'echo/echo', Buffer.alloc(65_535 - overhead)), Buffer.of(0)]);
      if (codec === 'frame') larger.writeUInt32LE(65_532, 0);
      await expectClose(larger, 1009);
    });

    it('takes a message in several WebSocket fragments', async () => {
      const client = await connect();
      const data = client.encode(0, 0, 'echo/echo', 'in parts');
      const socket = client.transport as WebSocket;
      for (let at = 0; at < data.length; at++)
        socket.send(data.subarray(at, at + 1), { binary: true, fin: at === data.length - 1 });
      expect((await client.push('echo/echo')).body.toString()).toBe('in parts');
    });
  } else {
    it('holds the connection of a message that does not go on, and looks at it when it does', async () => {
      const client = await connect();
      const data = client.encode(0, 0, 'echo/echo', 'slowly');
      client.sendRaw(data.subarray(0, -1));
      const other = await connect();
      other.send('echo/echo', 'meanwhile');
      await other.push('echo/echo');
      expect(client.pushes('echo/echo')).toEqual([]);
      client.sendRaw(data.subarray(-1));
      expect((await client.push('echo/echo')).body.toString()).toBe('slowly');
    });

    it('takes 65,535 bytes', async () => {
      const client = await connect();
      const overhead = client.encode(0, 0, 'echo/echo').length;
      client.send('echo/echo', Buffer.alloc(65_535 - overhead));
      expect((await client.push('echo/echo')).body.length).toBe(65_535 - overhead);
    });

    it('forgets a client that ends within a message', async () => {
      const client = await connect();
      client.sendRaw(client.encode(0, 0, 'echo/echo', 'never whole').subarray(0, -3));
      client.end();
      await client.closed;
      expect(client.pushes('echo/echo')).toEqual([]);
    });

    if (codec === 'frame') {
      it.each(CLAIMS)('closes for the claim of a length that is too large: %s', async bytes => {
        await expectClose(Buffer.from(bytes, 'hex'), 1009);
        await expectClose(Buffer.concat([Buffer.from(bytes, 'hex'), Buffer.alloc(200_000)]), 1009);
      });
    }
  }
});

describe('maxPackSize', () => {
  it('bounds packs and frames of both networks', async () => {
    const bench = await BinaryBench.start({ maxPackSize: 100 });
    try {
      for (const network of NETWORKS) {
        const fits = await bench.connect(network);
        fits.send('echo/echo', Buffer.alloc(100 - 13));
        expect((await fits.push('echo/echo')).body.length).toBe(100 - 13);
        fits.send('echo/echo', Buffer.alloc(100 - 12));
        expect((await fits.closed).code).toBe(network === 'ws' ? 1009 : 0);
        await bench.left(0);
      }
      expect(bench.counters.get('connections_closed', 1009)).toBe(2);
    } finally {
      await bench.close();
    }
  });
});
