import type { AddressInfo } from 'node:net';
import type { INestApplication, INestMicroservice, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { GateTransport } from '@nestgate/worker';

/** How an app is started. */
export interface StartOptions {
  /** Whether it handles topics: its gate, or worker, is one of its microservices, with the app's own enhancers. @defaultValue false */
  readonly handles?: boolean;
  /** What is done to it before it starts. */
  readonly prepare?: (app: INestApplication) => void;
  /** The path of a socket that it listens at, in place of a free port. */
  readonly path?: string;
}

/** Compiles an app, and starts it without a logger. The caller closes it. */
export async function startApp(
  metadata: ModuleMetadata,
  { handles = false, prepare, path }: StartOptions = {},
): Promise<INestApplication> {
  const module = await Test.createTestingModule(metadata).compile();
  const app = module.createNestApplication({ logger: false });
  prepare?.(app);
  if (handles) {
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
    await app.startAllMicroservices();
  }
  if (path === undefined) await app.listen(0, '127.0.0.1');
  else await app.listen(path);
  return app;
}

/** The port that an app listens on. */
export function portOf(app: INestApplication): number {
  return (app.getHttpServer().address() as AddressInfo).port;
}

/** Compiles an app that only handles topics, and starts it without a logger. The caller closes it. */
export async function startWorkerApp(metadata: ModuleMetadata): Promise<INestMicroservice> {
  const module = await Test.createTestingModule(metadata).compile();
  const app = module.createNestMicroservice({ strategy: module.get(GateTransport), logger: false });
  await app.listen();
  return app;
}
