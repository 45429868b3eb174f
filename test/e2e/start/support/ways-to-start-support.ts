import { setTimeout as sleep } from 'node:timers/promises';
import {
  Controller,
  type INestApplicationContext,
  type INestMicroservice,
  Module,
  type OnApplicationBootstrap,
  type OnModuleInit,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AsyncMicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { FakeClient, UpgradeRefused } from '@nestgate/testing';
import { GateTransport, OnTopic } from '@nestgate/worker';
import type { Recorder } from '../../../support/recorder.js';

const HOOK_MS = 150;

/** Has hooks that take their time, as a connection to a database does. */
@Module({})
export class SlowModule implements OnModuleInit, OnApplicationBootstrap {
  static hooks = 0;

  async onModuleInit(): Promise<void> {
    await sleep(HOOK_MS);
    SlowModule.hooks++;
  }

  async onApplicationBootstrap(): Promise<void> {
    await sleep(HOOK_MS);
    SlowModule.hooks++;
  }
}

@Controller()
export class WaysTopics {
  /** How many of the two hooks had run. */
  @OnTopic('ways/hooks')
  hooks(): number {
    return SlowModule.hooks;
  }
}

/** The root of an app: its own hook is the last one that Nest runs. */
export function appModule(imported: unknown): Type {
  @Module({ imports: [imported as Type, SlowModule], controllers: [WaysTopics] })
  class App {}
  return App;
}

const HYBRID = { inheritAppConfig: true };

/** A way to start: makes the app, starts it as far as it goes, and returns it. */
export type Way = (module: Type, logger: Recorder, made: (app: INestApplicationContext) => void) => Promise<unknown>;

async function tested(module: Type) {
  return Test.createTestingModule({ imports: [module] }).compile();
}

/** Ways in which the app serves. */
export const SERVING: Readonly<Record<string, Way>> = {
  'create, connectMicroservice, startAllMicroservices, listen': async (module, logger, made) => {
    const app = await NestFactory.create(module, { logger });
    made(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, HYBRID);
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
  },
  'the same with deferInitialization': async (module, logger, made) => {
    const app = await NestFactory.create(module, { logger });
    made(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { ...HYBRID, deferInitialization: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
  },
  'startAllMicroservices after listen': async (module, logger, made) => {
    const app = await NestFactory.create(module, { logger });
    made(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, HYBRID);
    await app.listen(0, '127.0.0.1');
    await app.startAllMicroservices();
  },
  'startAllMicroservices and init, without listen': async (module, logger, made) => {
    const app = await NestFactory.create(module, { logger });
    made(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, HYBRID);
    await app.startAllMicroservices();
    await app.init();
  },
  createMicroservice: async (module, logger, made) => {
    const options: AsyncMicroserviceOptions & { logger: Recorder } = {
      useFactory: (strategy: GateTransport) => ({ strategy }),
      inject: [GateTransport],
      logger,
    };
    const app: INestMicroservice = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(module, options);
    made(app);
    await app.listen();
  },
  'Test.createTestingModule, createNestApplication': async (module, logger, made) => {
    const app = (await tested(module)).createNestApplication({ logger });
    made(app);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, HYBRID);
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
  },
  'Test.createTestingModule, createNestMicroservice': async (module, logger, made) => {
    const testing = await tested(module);
    const app = testing.createNestMicroservice({ strategy: testing.get(GateTransport), logger });
    made(app);
    await app.listen();
  },
};

/** Ways in which it does not: scripts, and tests of something else. */
export const NOT_SERVING: Readonly<Record<string, Way>> = {
  createApplicationContext: async (module, logger, made) => {
    made(await NestFactory.createApplicationContext(module, { logger }));
  },
  'create, init': async (module, logger, made) => {
    const app = await NestFactory.create(module, { logger });
    made(app);
    await app.init();
  },
  'Test.createTestingModule, init': async (module, logger, made) => {
    const testing = await tested(module);
    testing.useLogger(logger);
    made(testing);
    await testing.init();
  },
  'Test.createTestingModule, createNestApplication, init': async (module, logger, made) => {
    const app = (await tested(module)).createNestApplication({ logger });
    made(app);
    await app.init();
  },
};

/** Connects to a port, and asks how many hooks had run; why not, when that fails. */
export async function hooksSeenAt(port: number): Promise<unknown> {
  try {
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    const frame = await client.exchange('ways/hooks');
    client.socket.terminate();
    return frame.error?.code ?? frame.body;
  } catch (error) {
    return error instanceof UpgradeRefused ? error.status : (error as { code?: string }).code;
  }
}
