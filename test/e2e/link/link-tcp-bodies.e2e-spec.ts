import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { TcpLink } from '@nestgate/link';
import { BinaryClient, createTestCluster, freePort, type TestCluster } from '@nestgate/testing';
import { GatewayApi, OnTopic } from '@nestgate/worker';

const KIB = 1024;
const SIZES = [10, 3 * KIB, 5 * KIB, 20 * KIB, 60 * KIB];
const CLIENTS = 4;
const ROUNDS = 40;

/** Buffers that a handler has been given, and keeps. */
const kept: Buffer[] = [];

@Controller()
class BodyTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('body/echo')
  echo(@Payload() text: string): string {
    return text;
  }

  /** The frames of the client behind this one wait in the worker. */
  @OnTopic('body/late')
  async late(@Payload() text: string): Promise<string> {
    await new Promise(resolve => setTimeout(resolve, 1));
    return text;
  }

  @OnTopic('body/all')
  all(@Payload() text: string): void {
    this.gateway.sendToAll('body/told', text).catch(() => undefined);
  }

  @OnTopic('body/keep', { payload: 'raw' })
  keep(@Payload() bytes: Buffer): Buffer {
    kept.push(bytes);
    return bytes;
  }
}

/** A text that says in each character where it belongs. */
function textOf(client: number, round: number): string {
  return String.fromCharCode(97 + client, 97 + (round % 26)).repeat((SIZES[round % SIZES.length] as number) / 2);
}

describe('bodies that share the memory of a frame', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    const url = `tcp://127.0.0.1:${await freePort()}`;
    cluster = await createTestCluster({
      workers: 1,
      handlers: { controllers: [BodyTopics] },
      link: () => new TcpLink({ url }),
    });
  });
  afterAll(() => cluster.close());

  it('stay as they came, while others come and go', async () => {
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => cluster.connect()));
    const binary = await BinaryClient.overWs(cluster.gate.url, { codec: 'frame' });
    for (let round = 0; round < ROUNDS; round++) {
      const raw = Buffer.from(textOf(9, round));
      const answers = [
        binary.request('body/keep', raw),
        ...clients.flatMap((client, at) =>
          ['body/late', 'body/echo', 'body/echo'].map(topic => client.request(topic, textOf(at, round))),
        ),
      ];
      clients[1]?.send('body/all', textOf(5, round));
      const [first, ...others] = await Promise.all(answers);
      expect(Buffer.from(first as Buffer).equals(raw)).toBe(true);
      const expected = clients.flatMap((_, at) => Array.from({ length: 3 }, () => textOf(at, round)));
      expect(others.every((answer, at) => answer === expected[at])).toBe(true);
      await clients[0]?.push('body/told', body => body === textOf(5, round));
    }
    expect(kept.map(bytes => bytes.toString())).toEqual(Array.from({ length: ROUNDS }, (_, at) => textOf(9, at)));
    binary.destroy();
  });
});
