import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type CanActivate, Controller, Injectable, type ModuleMetadata, type Type, UseGuards } from '@nestjs/common';
import { createTestCluster } from '@nestgate/testing';
import { GatewayApi, OnTopic } from '@nestgate/worker';
import { GatewayCluster } from './gateway-cluster-support.js';
import { LinkSupply } from './support/links.js';

/** A use that nobody can see in the source. */
const HIDDEN = ['sendTo', 'CurrentClient'].join('') as 'sendToCurrentClient';

@Controller()
class ProbeTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('probe/run')
  async run() {
    return this.gateway[HIDDEN]('probe/got', 1, { confirm: true }).catch((error: Error & { code: string }) => [
      error.code,
      error.message,
    ]);
  }
}

@Controller()
class UsingTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('using/never-called')
  run() {
    return this.gateway.closeCurrentClient();
  }
}

@Injectable()
class UsingService {
  constructor(private readonly gateway: GatewayApi) {}

  run() {
    return this.gateway.sendToCurrentClient('probe/got');
  }
}

@Injectable()
class DerivedService extends UsingService {}

@Injectable()
class UsingGuard implements CanActivate {
  constructor(private readonly gateway: GatewayApi) {}

  async canActivate(): Promise<boolean> {
    return this.gateway.destroyCurrentClient();
  }
}

@Controller()
class GuardedTopics {
  @OnTopic('guarded/never-called')
  @UseGuards(UsingGuard)
  run() {
    return 1;
  }
}

const fromFactory = {
  provide: 'factory',
  useFactory: (gateway: GatewayApi) => () => gateway.sendToCurrentClient('probe/got'),
  inject: [GatewayApi],
};
const asValue = { provide: 'value', useValue: new UsingService(undefined as unknown as GatewayApi) };

describe('the client at hand is followed', () => {
  let links: LinkSupply;
  let cluster: GatewayCluster;

  beforeAll(async () => {
    links = await LinkSupply.open('memory');
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  /** What the probe answers in a worker of such parts. */
  async function probe(
    controllers: Type[],
    providers: ModuleMetadata['providers'],
    worker: { currentClient?: boolean } = {},
  ): Promise<unknown> {
    const handlers = { controllers: [ProbeTopics, ...controllers], providers };
    cluster = await GatewayCluster.open(links, { gates: 1, handlers, worker });
    const client = await cluster.connect(0);
    return client.fake.request('probe/run');
  }

  it.each<[string, Type[], NonNullable<ModuleMetadata['providers']>]>([
    ['a controller', [UsingTopics], []],
    ['a provider', [], [UsingService]],
    ['a class that a provider extends', [], [DerivedService]],
    ['a guard that no module lists', [GuardedTopics], []],
    ['a factory', [], [fromFactory]],
    ['a value', [], [asValue]],
  ])('when %s uses it', async (_what, controllers, providers) => {
    expect(await probe(controllers, providers)).toBe(true);
  });

  it('when the option says so, whatever can be seen', async () => {
    expect(await probe([], [], { currentClient: true })).toBe(true);
  });

  it('not when nothing uses it: an error tells of the option', async () => {
    expect(await probe([], [])).toEqual(['NO_CURRENT_CLIENT', expect.stringContaining('currentClient: true')]);
  });

  it('not when the option says no, whatever uses it', async () => {
    const answer = await probe([UsingTopics], [UsingService], { currentClient: false });
    expect(answer).toEqual(['NO_CURRENT_CLIENT', expect.stringContaining('currentClient: true')]);
  });
});

describe('a gate that hosts handlers', () => {
  it.each([
    [true, true],
    [undefined, ['NO_CURRENT_CLIENT', expect.stringContaining('currentClient: true')]],
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
