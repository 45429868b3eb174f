/** A gate as `apps/gate` is one, with the options that a test gives it, and answers to what the test asks. */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { createApp, GateHealthController, readConfig } from '@nestgate-app/common';
import { Gate, GateModule } from '@nestgate/gate';
import { reportTo } from './node-report.mjs';

class GateNodeModule {}
Module({})(GateNodeModule);

const { gate } = readConfig(process.env, '');
const options = { ...gate, ...JSON.parse(process.env.FAULTS_GATE ?? '{}') };
const app = await createApp({
  module: GateNodeModule,
  imports: [GateModule.forRoot(options)],
  controllers: [GateHealthController],
});
await app.listen(0, '127.0.0.1');
reportTo(app, () => ({ dropped: app.get(Gate).counters.snapshot()['packs_dropped'] ?? {} }));
process.send?.({ port: app.getHttpServer().address().port });
