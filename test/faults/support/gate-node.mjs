/** A gate as `apps/gate` is one, with the options that a test gives it, and answers to what the test asks. */
import './clock.mjs';
import 'reflect-metadata';
import { setTimeout as delay } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { createApp, GateHealthModule, readConfig } from '@nestgate-app/common';
import { Gate, GateModule, HandshakeHandler, SendMessageHook } from '@nestgate/gate';
import { reportTo } from './node-report.mjs';

class GateNodeModule {}
Module({})(GateNodeModule);

/** Binds a client to the uid that its URL names, so that it needs no worker for that. */
class UidOfQuery extends HandshakeHandler {
  handshake({ query }) {
    return { userId: query.uid };
  }
}

/** Takes as long for each push as the test says. */
class SlowSendHook extends SendMessageHook {
  onSend(_session, _topic, body) {
    return delay(Number(process.env.FAULTS_SEND_HOOK_MS), body);
  }
}

const { gate } = readConfig(process.env, '');
const options = { ...gate, ...JSON.parse(process.env.FAULTS_GATE ?? '{}') };
options.providers = [...(options.providers ?? []), { provide: HandshakeHandler, useClass: UidOfQuery }];
if (process.env.FAULTS_SEND_HOOK_MS) options.providers.push({ provide: SendMessageHook, useClass: SlowSendHook });
const app = await createApp({
  module: GateNodeModule,
  imports: [GateModule.forRoot(options), GateHealthModule],
});
await app.listen(Number(process.env.FAULTS_PORT ?? 0), '127.0.0.1');
const { counters, delegater, tcpPort } = app.get(Gate);
reportTo(app, () => ({
  counts: counters.snapshot(),
  clients: delegater.getAgentNum(),
  unanswered: [...delegater.sessions()].reduce((sum, agent) => sum + agent.unansweredCount, 0),
  tcpPort,
}));
process.send?.({ port: app.getHttpServer().address().port });
