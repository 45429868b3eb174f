/** A worker as `apps/worker` is one, with more topics: work that leaves a line each time, work that fails, and strict pushes. */
import './clock.mjs';
import 'reflect-metadata';
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Controller, Inject, Module } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { createApp, readConfig, startHandlers } from '@nestgate-app/common';
import { HandlersModule } from '@nestgate-app/handlers';
import { GatewayApi, OnTopic, WorkerModule } from '@nestgate/worker';
import { reportTo } from './node-report.mjs';

const effects = openSync(process.env.FAULTS_EFFECTS, 'a');

/** The effect is written before anything else, and at once: it must be there whatever happens to this process. */
function leave({ session, seq }) {
  writeSync(effects, `${JSON.stringify([session, seq, Date.now()])}\n`);
}

class WorkTopics {
  constructor(gateway) {
    this.gateway = gateway;
  }

  async work({ payload, ms }) {
    leave(payload);
    await delay(ms);
    return payload;
  }

  /** Does not do what is asked of it, in one of the ways in which that can go wrong. */
  fail({ payload, how, ms }) {
    leave(payload);
    const secret = new Error(`a secret of ${payload.session}`);
    if (how === 'throw') throw secret;
    if (how === 'reject') return Promise.reject(secret);
    if (how === 'never') return new Promise(() => {});
    const end = Date.now() + ms;
    while (Date.now() < end);
    return payload;
  }

  /** An answer that is not whole is an error here. */
  async push({ group, topic, payload }) {
    return this.gateway.sendToGroup(group, topic, payload, undefined, { confirm: true });
  }
}
const { prototype } = WorkTopics;
for (const [topic, method] of [
  ['work/do', 'work'],
  ['work/fail', 'fail'],
  ['work/push', 'push'],
]) {
  OnTopic(topic)(prototype, method, Object.getOwnPropertyDescriptor(prototype, method));
  Payload()(prototype, method, 0);
}
Inject(GatewayApi)(WorkTopics, undefined, 0);
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
