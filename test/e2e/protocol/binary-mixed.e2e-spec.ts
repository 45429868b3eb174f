import { afterEach, describe, expect, it } from '@jest/globals';
import { FrameKind } from '@nestgate/protocol';
import { type BinaryClient, type FakeClient, jsonOf, waitUntil } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench, received } from '../support/binary-support.js';

interface Said {
  readonly room: string;
  readonly from: string;
  readonly text: string;
  readonly at: number;
}

/** One client of each kind, and the gate's API. TCP has one codec per port. */
interface Party {
  readonly bench: BinaryBench;
  readonly json: FakeClient;
  readonly pack: BinaryClient;
  readonly frame: BinaryClient;
  readonly tcp: BinaryClient;
}

describe.each(['pack', 'frame'] as const)('a room with clients of every codec, %s over TCP', codec => {
  let bench: BinaryBench;

  afterEach(() => bench.close());

  async function start(): Promise<Party> {
    bench = await BinaryBench.start({ tcp: { port: 0, codec } });
    const party = {
      bench,
      json: await bench.cluster.connect(),
      pack: await bench.connect('ws', { codec: 'pack' }),
      frame: await bench.connect('ws', { codec: 'frame' }),
      tcp: await bench.connect('tcp'),
    };
    // Packs have no hello: a client is connected before the gate knows of it.
    await waitUntil('the gate to know all', async () => (await bench.cluster.api.getAllClientCount()) === 4);
    return party;
  }

  /** Logs all in and has them join, one after another. */
  async function join({ json, pack, frame, tcp }: Party): Promise<void> {
    for (const [name, client] of Object.entries({ pack, frame, tcp })) {
      client.send('chat/login', { name });
      client.send('chat/join', { room: 'all' });
      await client.push('chat/joined', body => (JSON.parse(body.toString()) as { name: string }).name === name);
    }
    await json.request('chat/login', { name: 'json' });
    expect(await json.request('chat/join', { room: 'all' })).toEqual({ room: 'all', members: 4 });
  }

  it('tells each of them in its own form', async () => {
    const party = await start();
    await join(party);
    const { json, pack, frame, tcp } = party;
    expect(await json.request('chat/say', { room: 'all', text: 'hé 🦊' })).toEqual({ delivered: 4 });
    const said = (await json.push('chat/said')).body as Said;
    expect(said).toEqual({ room: 'all', from: 'json', text: 'hé 🦊', at: expect.any(Number) });
    for (const client of [pack, frame, tcp]) {
      const push = await client.push('chat/said');
      expect(push).toEqual({
        kind: FrameKind.message,
        id: 0,
        topic: 'chat/said',
        body: Buffer.from(JSON.stringify(said)),
      });
    }
  });

  it('hears each of them', async () => {
    const party = await start();
    await join(party);
    const { json, pack, frame, tcp } = party;
    for (const client of [pack, frame, tcp]) client.send('chat/say', { room: 'all', text: 'from me' });
    for (const from of ['pack', 'frame', 'tcp']) {
      await json.push('chat/said', (body: Said) => body.from === from);
      for (const client of [pack, frame, tcp]) {
        await client.push('chat/said', body => (JSON.parse(body.toString()) as Said).from === from);
      }
    }
    expect(jsonOf(await pack.push('chat/say'))).toEqual({ delivered: 4 });
    expect(json.pushes('chat/said').length).toBe(3);
  });

  it('whispers from any of them to any other', async () => {
    const party = await start();
    await join(party);
    const { json, pack, frame, tcp } = party;
    tcp.send('chat/whisper', { to: 'json', text: 'psst' });
    expect((await json.push('chat/whispered')).body).toEqual({ from: 'tcp', text: 'psst' });
    expect(await json.request('chat/whisper', { to: 'tcp', text: 'what' })).toEqual({ delivered: 1 });
    expect(jsonOf(await tcp.push('chat/whispered'))).toEqual({ from: 'json', text: 'what' });
    expect(jsonOf(await frame.answer(frame.ask('chat/whisper', { to: 'pack', text: 'hey' })))).toEqual({
      delivered: 1,
    });
    expect(jsonOf(await pack.push('chat/whispered'))).toEqual({ from: 'frame', text: 'hey' });
  });

  it('pushes bytes as they are, JSON compact and nothing as nothing; to json clients as base64', async () => {
    const { json, pack, frame, tcp } = await start();
    const { api } = bench.cluster;
    await api.sendToAll('push/bytes', ALL_BYTES);
    await api.sendToAll('push/json', { a: [1, 'é', undefined] });
    await api.sendToAll('push/nothing');
    for (const client of [pack, frame, tcp]) {
      expect((await client.push('push/bytes')).body.equals(ALL_BYTES)).toBe(true);
      expect((await client.push('push/json')).body.toString()).toBe('{"a":[1,"é",null]}');
      expect((await client.push('push/nothing')).body.length).toBe(0);
    }
    expect(await json.push('push/bytes')).toEqual({
      topic: 'push/bytes',
      body: ALL_BYTES.toString('base64'),
      encoding: 'base64',
    });
    expect(await json.push('push/nothing')).toEqual({ topic: 'push/nothing', body: null });
  });

  it('counts a push that no pack can hold for those that it does not reach', async () => {
    const party = await start();
    const { api } = bench.cluster;
    const everybody = codec === 'pack' ? 2 : 3;
    const room = 65_535 - 4 - 'push/large'.length;
    expect(await api.sendToAll('push/large', Buffer.alloc(room), undefined, undefined, { confirm: true })).toEqual({
      delivered: 4,
    });
    expect(await api.sendToAll('push/large', Buffer.alloc(room + 1), undefined, undefined, { confirm: true })).toEqual({
      delivered: everybody,
    });
    expect(bench.counters.get('packs_dropped', 'too_large')).toBe(4 - everybody);
    await received(party.frame, 3);
    expect(party.frame.pushes('push/large').map(push => push.body.length)).toEqual([room, room + 1]);
    expect(party.pack.closedWith).toBeUndefined();
  });
});
