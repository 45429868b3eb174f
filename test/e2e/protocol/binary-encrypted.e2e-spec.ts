import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { EncryptMode } from '@nestgate/gate';
import { type BinaryClient, jsonOf } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench, type Network, NETWORKS, received } from '../support/binary-support.js';

const KEYS: readonly (readonly [EncryptMode, string])[] = [
  ['aes-256-gcm', 'any text is a key'],
  ['river-cbc', '0123456789abcdef'],
  ['river-cbc', '0123456789abcdefghijklmn'],
  ['river-cbc', '0123456789abcdefghijklmnopqrstuv'],
];

describe.each(KEYS)('packs with %s and the key %j', (encryptMode, encryptKey) => {
  let bench: BinaryBench;

  beforeAll(async () => {
    bench = await BinaryBench.start({ encryptKey, encryptMode });
  });
  afterAll(() => bench.close());
  afterEach(() => bench.left(0));

  async function withClient(network: Network, use: (client: BinaryClient) => Promise<void>): Promise<void> {
    const client = await bench.connect(network, { encryptKey, encryptMode });
    await use(client);
    client.destroy();
  }

  /** The most that fits: what is encrypted is longer than what is not. */
  const largest = encryptMode === 'river-cbc' ? 49_135 - 11 : 65_535 - 2 - 28 - 11;

  it.each(NETWORKS)('go both ways over %s, to the byte', network =>
    withClient(network, async client => {
      for (const body of [ALL_BYTES, Buffer.alloc(0), Buffer.alloc(largest, 0xa5)]) {
        const count = client.messages.length;
        client.send('echo/echo', body);
        const echo = (await received(client, count + 1))[count];
        expect([echo?.topic, echo?.body.equals(body)]).toEqual(['echo/echo', true]);
      }
    }),
  );

  it.each(NETWORKS)('carry heartbeats, JSON and errors over %s', network =>
    withClient(network, async client => {
      client.send('');
      expect(await received(client, 1)).toEqual([{ kind: 0, id: 0, topic: '', body: Buffer.alloc(0) }]);
      client.send('chat/login', { name: 'ada' });
      expect(jsonOf(await client.push('chat/login'))).toEqual({ uid: 'ada' });
      client.send('echo/fail', { code: 'TEAPOT' });
      expect(jsonOf(await client.push('$gate/error'))).toMatchObject({ code: 'TEAPOT', topic: 'echo/fail' });
    }),
  );

  it.each(NETWORKS)('that are plain, changed or of another key close the connection over %s', async network => {
    const sender = await bench.connect(network, { encryptKey, encryptMode });
    const sealed = sender.encode(0, 0, 'echo/echo', 'secret');
    const changed = Buffer.from(sealed);
    changed[sealed.length - 1] = (changed[sealed.length - 1] as number) ^ 1;
    const otherKey = await bench.connect(network, { encryptKey: encryptKey.toUpperCase(), encryptMode });
    for (const bytes of [
      Buffer.of(4, 0, 0, 0),
      Buffer.concat([Buffer.of(16, 0, 9, 0), Buffer.from('echo/echohey')]),
      changed,
      otherKey.encode(0, 0, 'echo/echo', 'secret'),
      sealed.subarray(0, 2),
    ]) {
      const client = await bench.connect(network, { encryptKey, encryptMode });
      client.sendRaw(bytes);
      // Over TCP a total alone is only the start of a pack.
      if (bytes.length === 2) client.end();
      const { code } = await client.closed;
      if (bytes.length > 2) expect(code).toBe(network === 'ws' ? 1002 : 0);
      expect(client.messages).toEqual([]);
    }
    sender.send('echo/echo', 'unharmed');
    expect((await sender.push('echo/echo')).body.toString()).toBe('unharmed');
    sender.destroy();
    otherKey.destroy();
  });

  it('do not concern gate.frame and gate.json', async () => {
    const frame = await bench.connect('ws', { codec: 'frame' });
    expect((await frame.request('echo/echo', 'plain')).toString()).toBe('plain');
    const json = await bench.cluster.connect();
    expect(await json.request('echo/echo', 'plain')).toBe('plain');
    frame.destroy();
    await json.close();
  });
});

describe('an encryptKey that the mode cannot use', () => {
  it.each([
    ['aes-256-gcm', ''],
    ['river-cbc', 'too short'],
    ['river-cbc', 'k'.repeat(33)],
  ] as const)('keeps the gate from starting: %s, %j', async (encryptMode, encryptKey) => {
    await expect(BinaryBench.start({ encryptMode, encryptKey })).rejects.toThrow(/encryptKey/);
  });
});
