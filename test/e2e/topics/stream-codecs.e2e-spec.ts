import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { connect } from '@nestgate/client';
import { frameCodec } from '@nestgate/client/frame';
import { contract, stream, type } from '@nestgate/contract';
import { Gate, GateCounters } from '@nestgate/gate';
import type { StandardSchema } from '@nestgate/protocol';
import { BinaryClient, createTestCluster, jsonOf, type TestCluster, waitUntil } from '@nestgate/testing';
import { GateTransport, OnTopic } from '@nestgate/worker';
import { interval, Observable, of } from 'rxjs';
import { ResumeClient } from '../support/resume-client.js';

const KIND = { reply: 2, error: 3, item: 16, end: 17, cancel: 18, stream: 19 };

const numbers = contract('typed', {
  numbers: stream({ body: type<{ n: number }>(), item: checked<number>('number') }),
  texts: stream({ item: checked<string>('string') }),
});

/** A schema that looks at the type only. */
function checked<T>(kind: string): StandardSchema<T> {
  const validate = (value: unknown) =>
    typeof value === kind ? { value: value as T } : { issues: [{ message: `no ${kind}` }] };
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

let ticks = 0;

@Controller()
class TypedTopics {
  @OnTopic(numbers.numbers)
  async *numbers({ n }: { n: number }) {
    for (let i = 0; i < n; i++) yield i;
  }

  @OnTopic(numbers.texts)
  async *texts() {
    yield 'one';
    yield 2 as unknown as string;
  }

  @OnTopic('make/bytes')
  bytes() {
    return of(Buffer.from('abc'), Buffer.from('def'));
  }

  @OnTopic('make/ticks')
  ticks() {
    return new Observable(subscriber => {
      const subscription = interval(2).subscribe(subscriber);
      ticks++;
      return () => {
        ticks--;
        subscription.unsubscribe();
      };
    });
  }
}

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await createTestCluster({
    workers: 1,
    handlers: { imports: [HandlersModule], controllers: [TypedTopics] },
    gate: {
      messageRate: 0,
      resume: { keepMs: 20_000, keepGuestMs: 20_000 },
      tcp: { port: 0, host: '127.0.0.1', codec: 'frame' },
    },
  });
});
afterAll(() => cluster.close());
afterEach(() => waitUntil('no stream is left', () => load().streams === 0));

const load = () => {
  const [worker] = cluster.workers;
  if (!worker) throw new Error('no worker');
  return worker.app.get(GateTransport).load();
};
const gate = () => {
  const [first] = cluster.gates;
  if (!first) throw new Error('no gate');
  return first;
};

describe.each(['ws', 'tcp'])('streams of gate.frame over %s', how => {
  const open = (): Promise<BinaryClient> =>
    how === 'ws'
      ? BinaryClient.overWs(gate().url, { codec: 'frame' })
      : BinaryClient.overTcp(gate().app.get(Gate).tcpPort ?? 0, { codec: 'frame' });

  it('are items and an end, with bytes as they are', async () => {
    const client = await open();
    client.sendFrame(KIND.stream, 7, 'make/bytes');
    const last = await waitUntil('the end', () => client.messages.find(({ kind }) => kind === KIND.end));
    expect(last).toMatchObject({ id: 7, topic: '' });
    const items = client.messages.filter(({ kind, id }) => kind === KIND.item && id === 7);
    expect(items.map(({ body }) => body.toString())).toEqual(['abc', 'def']);
    client.sendFrame(KIND.stream, 8, 'stream/fail', { after: 1 });
    const failed = await waitUntil('the error', () => client.messages.find(({ kind }) => kind === KIND.error));
    expect([failed.id, jsonOf<{ code: string }>(failed).code]).toEqual([8, 'STREAM_FAILED']);
    client.sendFrame(KIND.stream, 9, 'make/ticks');
    await waitUntil('items', () => client.messages.filter(({ id }) => id === 9).length > 2);
    client.sendFrame(KIND.cancel, 9, '');
    await waitUntil('its end', () => client.messages.some(({ kind, id }) => kind === KIND.end && id === 9));
    await waitUntil('the producer has ended', () => ticks === 0);
    client.sendFrame(KIND.stream, 0, 'make/ticks');
    const refused = await client.push('$gate/error');
    expect(jsonOf<{ code: string }>(refused).code).toBe('BAD_FRAME');
    client.destroy();
  });
});

describe('the client library', () => {
  it.each([undefined, frameCodec({ decodeBody: bytes => JSON.parse(Buffer.from(bytes).toString()) as unknown })])(
    'reads a stream, and cancels it when its loop is left',
    async codec => {
      const { WebSocket } = await import('ws');
      const client = connect<typeof numbers>(gate().url, {
        WebSocket: WebSocket as never,
        ...(codec && { codec }),
      });
      const items: number[] = [];
      for await (const item of client.stream('typed/numbers', { n: 5 })) items.push(item);
      expect(items).toEqual([0, 1, 2, 3, 4]);
      for await (const item of client.stream('typed/numbers', { n: 1e9 })) if (item === 100) break;
      await waitUntil('the producer has ended', () => load().streams === 0);
      client.close();
    },
  );

  it('gets an error for an item that does not fit its contract', async () => {
    const client = await cluster.connect();
    const { items, error } = await client.stream('typed/texts');
    expect([items, error?.code]).toEqual([['one'], 'INTERNAL']);
    await client.close();
  });
});

describe('a stream of a resumable session', () => {
  const itemsOf = (client: ResumeClient) =>
    client.frames.filter(frame => frame.id === 1 && 'item' in frame).map(frame => (frame as { item: number }).item);

  it('goes on over lost connections: every item once and in order', async () => {
    const client = await ResumeClient.open(gate().url);
    client.send({ topic: 'stream/count', body: { n: 3_000 }, id: 1, stream: true } as never);
    for (let cut = 0; cut < 8; cut++) {
      const { length } = itemsOf(client);
      await waitUntil('items', () => itemsOf(client).length > length || ended(client));
      client.cut();
      await sleep(10 * cut);
      await client.resume();
    }
    await waitUntil('the end', () => ended(client));
    expect(itemsOf(client)).toEqual(Array.from({ length: 3_000 }, (_, i) => i + 1));
    expect(client.gaps).toEqual([]);
    client.cut();
  });

  it('waits for the client while that is away, and ends with its session', async () => {
    const client = await ResumeClient.open(gate().url);
    client.send({ topic: 'stream/count', body: { n: 1e9 }, id: 1, stream: true } as never);
    await waitUntil('items', () => itemsOf(client).length > 100);
    client.cut();
    const other = await cluster.connect();
    const produced = async () => (await other.request<{ max: number }>('stream/produced')).max;
    await waitUntil('it waits', async () => {
      const before = await produced();
      await sleep(50);
      return before === (await produced());
    });
    expect(load().streams).toBe(1);
    await client.resume();
    const { length } = itemsOf(client);
    await waitUntil('it goes on', () => itemsOf(client).length > length + 200);
    client.sendOwn({ topic: '$gate/cancel', body: 1 });
    await waitUntil('the end', () => ended(client));
    const items = itemsOf(client);
    expect(items).toEqual(Array.from({ length: items.length }, (_, i) => i + 1));
    client.send({ topic: 'make/ticks', id: 2, stream: true } as never);
    await waitUntil('it runs', () => load().streams === 1);
    client.sendOwn({ topic: '$gate/bye' });
    await waitUntil('it has ended', () => ticks === 0);
    expect(gate().app.get(GateCounters).get('streams_ended', 'client_gone')).toBeGreaterThan(0);
    await other.close();
  });

  const ended = (client: ResumeClient): boolean => client.frames.some(frame => 'end' in frame);
});
