import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { GateTransport } from '@nestgate/worker';
import { GateApp, WholeApp, WorkerApp } from './apps.js';

const APPS = { whole: WholeApp, gate: GateApp, worker: WorkerApp };

async function bootstrap(): Promise<void> {
  const app = await NestFactory.create(APPS[(process.env['APP'] ?? 'whole') as keyof typeof APPS], {
    logger: ['error', 'warn'],
  });
  app.enableShutdownHooks();
  app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  console.log(`listening on ${(app.getHttpServer().address() as AddressInfo).port}`);
}

void bootstrap();
