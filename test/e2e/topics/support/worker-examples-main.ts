/** An example of `docs/worker.md`: the whole `main.ts` of a worker. */
// example: worker main
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AsyncMicroserviceOptions } from '@nestjs/microservices';
import { GateTransport, WorkerModule } from '@nestgate/worker';
import { GuestTopics, OrderTopics } from './worker-examples.js';

@Module({
  imports: [WorkerModule.forRoot({ link: process.env['NESTGATE_LINK'], secret: process.env['NESTGATE_SECRET'] })],
  controllers: [GuestTopics, OrderTopics],
})
export class WorkerApp {}

export const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(WorkerApp, {
  inject: [GateTransport],
  useFactory: (strategy: GateTransport) => ({ strategy }),
});
app.enableShutdownHooks(['SIGTERM', 'SIGINT']); // close the app
await app.listen();
// end
