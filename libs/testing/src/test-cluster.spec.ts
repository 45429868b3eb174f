import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Injectable, Module } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { GateModule } from '@nestgate/gate';
import { OnTopic, WorkerModule } from '@nestgate/worker';
import { BinaryClient } from './clients/binary-client.js';
import { startDelayedRelay } from './network/delayed-relay.js';
import { NatsCluster } from './processes/nats-cluster.js';
import { createTestCluster, type TestCluster } from './test-cluster.js';

@Injectable()
class Greeter {
  greet(name: string): string {
    return `Hello ${name}`;
  }
}

@Controller()
class GreetTopics {
  constructor(private readonly greeter: Greeter) {}

  @OnTopic('greet/me')
  me(@Payload() name: string): string {
    return this.greeter.greet(name);
  }

  @OnTopic('greet/fail')
  fail(): never {
    throw new Error('No greeting today');
  }
}

const handlers = { controllers: [GreetTopics], providers: [Greeter] };

@Module({ imports: [GateModule.forRoot({ link: 'tcp://127.0.0.1:1', ws: { path: '/own' } })], ...handlers })
class WholeApp {}

@Module({ imports: [GateModule.forRoot({ link: 'tcp://127.0.0.1:1' })] })
class GateApp {}

@Module({ imports: [WorkerModule.forRoot({ link: 'tcp://127.0.0.1:1' })], ...handlers })
class WorkerApp {}

class Lines {
  readonly lines: string[] = [];
  readonly log = (message: unknown): void => void this.lines.push(String(message));
  readonly warn = this.log;
  readonly error = this.log;
  readonly fatal = this.log;
}

describe('createTestCluster', () => {
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
  });

  it.each<[string, object, string]>([
    ['gate', { gatess: 2 }, 'unknown option "gatess"; did you mean "gates"?'],
    [
      'handlers',
      { handlers: { controller: [] } },
      'unknown option "handlers.controller"; did you mean "handlers.controllers"?',
    ],
    ['handlers', { handlers: { exports: [] } }, 'unknown option "handlers.exports"; '],
    [
      'handlers',
      { handlers: { controllers: GreetTopics } },
      'option handlers.controllers must be an array, but a function was given',
    ],
    ['handlers', { handlers: [GreetTopics] }, 'option handlers must be an object, but an array was given'],
    ['gates', { gates: 0 }, 'option gates must be an integer from 1 to 100, but 0 was given'],
    ['gates', { gates: 1.5 }, 'option gates must be an integer from 1 to 100, but 1.5 was given'],
    ['workers', { workers: -1 }, 'option workers must be an integer from 0 to 100, but -1 was given'],
    ['workers', { workers: '2' }, 'option workers must be an integer from 0 to 100, but a string was given'],
    ['override', { override: {} }, 'option override must be a function, but an object was given'],
    ['link', { link: 'tcp://127.0.0.1:1' }, 'option link must be a function, but a string was given'],
    ['setup', { setup: [] }, 'option setup must be a function, but an array was given'],
    [
      'logger',
      { logger: true },
      'option logger must be a LoggerService, an array of log levels, or false, but a boolean was given',
    ],
    ['all', [], 'the options must be an object, but an array was given'],
  ])('refuses options that cannot be (%s)', async (_name, options, why) => {
    await expect(createTestCluster(options)).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      message: expect.stringContaining(`createTestCluster: ${why}`),
    });
  });

  it('refuses the options of the helpers beside it', async () => {
    const target = { host: '127.0.0.1', port: 1 };
    await expect(startDelayedRelay({ target, delay: 5 } as never)).rejects.toThrow('did you mean "delayMs"?');
    await expect(NatsCluster.start({ server: 2 } as never)).rejects.toThrow('did you mean "servers"?');
    await expect(BinaryClient.overTcp(1, { code: 'frame' } as never)).rejects.toThrow('did you mean "codec"?');
  });

  it("starts the test's own module", async () => {
    cluster = await createTestCluster({ gateModule: WholeApp });
    expect(new URL(cluster.gate.url).pathname).toBe('/own');
    const client = await cluster.connect();
    expect(await client.request('greet/me', 'ada')).toBe('Hello ada');
  });

  it("starts the test's own gates and workers, on the link of the cluster", async () => {
    cluster = await createTestCluster({ gates: 2, workers: 2, gateModule: GateApp, workerModule: WorkerApp });
    const client = await cluster.connect({ gate: 1 });
    expect(await client.request('greet/me', 'ada')).toBe('Hello ada');
  });

  it('replaces providers, in every app', async () => {
    const roles: string[] = [];
    cluster = await createTestCluster({
      workers: 2,
      handlers,
      override: (builder, role, index) => {
        roles.push(`${role} ${index}`);
        builder.overrideProvider(Greeter).useValue({ greet: (name: string) => `Replaced ${name}` });
      },
    });
    expect(roles).toEqual(['gate 0', 'worker 0', 'worker 1']);
    const client = await cluster.connect();
    expect(await client.request('greet/me', 'ada')).toBe('Replaced ada');
  });

  it('logs nothing unless it is told where', async () => {
    const logger = new Lines();
    cluster = await createTestCluster({ handlers, logger });
    const client = await cluster.connect();
    await client.exchange('greet/fail');
    expect(logger.lines.join('\n')).toMatch(/No greeting today/);
  });

  it('rejects requests with the code and the details of the answer', async () => {
    cluster = await createTestCluster({ handlers });
    const client = await cluster.connect();
    await expect(client.request('greet/nobody')).rejects.toMatchObject({
      name: 'RequestError',
      topic: 'greet/nobody',
      code: 'NO_HANDLER',
      message: expect.stringContaining('NO_HANDLER'),
    });
  });

  it.each([
    ['worker', 'onModuleInit'],
    ['worker', 'a factory'],
    ['gate', 'onModuleInit'],
    ['gate', 'a factory'],
  ])('closes what it has started when the handlers of a %s fail in %s', async (role, place) => {
    const servers: { listening: boolean }[] = [];
    const fail = (): never => {
      throw new Error('The handlers are broken');
    };
    const started = createTestCluster({
      gates: 2,
      workers: role === 'worker' ? 2 : 0,
      setup: app => {
        if ('getHttpServer' in app) servers.push(app.getHttpServer() as { listening: boolean });
      },
      handlers: { providers: [brokenTheSecondTime(place === 'a factory' ? fail : () => ({ onModuleInit: fail }))] },
    });
    await expect(started).rejects.toThrow('The handlers are broken');
    expect(servers.length).toBeGreaterThan(0);
    expect(servers.filter(server => server.listening)).toEqual([]);
  });
});

/** Works in the first app and fails in the second one, when the first one runs. */
function brokenTheSecondTime(make: () => unknown) {
  let made = 0;
  return { provide: 'broken', useFactory: () => (made++ === 0 ? {} : make()) };
}
