/** A worker as `apps/worker` is one, with one more topic: its handler leaves a line for each time that it has begun. */
import 'reflect-metadata';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Module } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { createApp, readConfig, startHandlers } from '@nestgate-app/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { OnTopic, WorkerModule } from '@nestgate/worker';
import { reportTo } from './node-report.mjs';

const effects = openSync(process.env.FAULTS_EFFECTS, 'a');

class WorkTopics {
  /** The effect is written before anything else, and at once: it must be there whatever happens to this process. */
  async work({ payload, ms }) {
    writeSync(effects, `${JSON.stringify([payload.session, payload.seq, Date.now()])}\n`);
    await delay(ms);
    return payload;
  }
}
const { prototype } = WorkTopics;
OnTopic('work/do')(prototype, 'work', Object.getOwnPropertyDescriptor(prototype, 'work'));
Payload()(prototype, 'work', 0);
Controller()(WorkTopics);

class WorkerNodeModule {}
Module({})(WorkerNodeModule);

const app = await createApp({
  module: WorkerNodeModule,
  imports: [WorkerModule.forRoot(readConfig(process.env, '').node), HandlersModule],
  controllers: [WorkTopics],
});
await startHandlers(app);
await app.init();
reportTo(app);
process.send?.({ port: 0 });
