import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { createTestCluster } from '@nestgate/testing';
import { GatewayApi, OnTopic } from '@nestgate/worker';
import { GatewayCluster } from './support/gateway-cluster-support.js';
import { LinkSupply } from '../support/links.js';

@Controller()
class ProbeTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('probe/run')
  async run() {
    return this.gateway
      .sendToCurrentClient('probe/got', 1, { confirm: true })
      .catch((error: Error & { code: string }) => [error.code, error.message]);
  }
}

describe('a worker follows the current client', () => {
  let links: LinkSupply;
  let cluster: GatewayCluster;

  beforeAll(async () => {
    links = await LinkSupply.open('memory');
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  it.each([
    [true, true],
    [undefined, true],
    [false, ['NO_CURRENT_CLIENT', expect.stringContaining('currentClient is false')]],
  ])('with the option: %s', async (currentClient, answer) => {
    const handlers = { controllers: [ProbeTopics] };
    cluster = await GatewayCluster.open(links, { gates: 1, handlers, worker: { currentClient } });
    const client = await cluster.connect(0);
    expect(await client.fake.request('probe/run')).toEqual(answer);
  });
});

describe('a gate that hosts handlers', () => {
  it.each([
    [undefined, true],
    [false, ['NO_CURRENT_CLIENT', expect.stringContaining('currentClient is false')]],
  ])('has the option too: %s', async (currentClient, answer) => {
    const cluster = await createTestCluster({ handlers: { controllers: [ProbeTopics] }, gate: { currentClient } });
    try {
      const client = await cluster.connect();
      expect(await client.request('probe/run')).toEqual(answer);
    } finally {
      await cluster.close();
    }
  });
});
