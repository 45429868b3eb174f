import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, it, jest } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { createTestCluster } from '@nestgate/testing';
import { GatewayApi, OnTopic } from '@nestgate/worker';

@Controller()
class CurrentTopics {
  constructor(private readonly api: GatewayApi) {}

  @OnTopic('current/push')
  async push(): Promise<void> {
    await this.api.sendToCurrentClient('current/pushed');
  }
}

it('an app that is closed follows no promises for the current client any more', async () => {
  const [used, disabled] = [new Set<unknown>(), new Set<unknown>()];
  const { enterWith, disable } = AsyncLocalStorage.prototype;
  const spies = [
    jest.spyOn(AsyncLocalStorage.prototype, 'enterWith').mockImplementation(function (this: unknown, ...args) {
      used.add(this);
      Reflect.apply(enterWith, this, args);
    }),
    jest.spyOn(AsyncLocalStorage.prototype, 'disable').mockImplementation(function (this: unknown) {
      disabled.add(this);
      Reflect.apply(disable, this, []);
    }),
  ];
  try {
    const cluster = await createTestCluster({ gates: 1, workers: 2, handlers: { controllers: [CurrentTopics] } });
    for (const _ of cluster.workers) {
      const client = await cluster.connect();
      await client.request('current/push');
      await client.push('current/pushed');
    }
    await cluster.close();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  expect(used.size).toBeGreaterThan(0);
  expect([...used].filter(storage => !disabled.has(storage))).toEqual([]);
});
