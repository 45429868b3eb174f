/** A Nest `@WebSocketGateway` that asks a worker through Nest's own NATS transporter. `NATS_URL` is where both meet. */
import 'reflect-metadata';
import { Controller, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientsModule, EventPattern, Payload, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { map } from 'rxjs';
import { constructed, method } from './decorate.mjs';
import { Groups } from './groups.mjs';
import { announce, parseMessage, portOf } from './peer.mjs';

/** @typedef {import('./peer.mjs').ClientMessage} ClientMessage */

const WORKER = 'WORKER';
const GROUPS = 'GROUPS';
const servers = [process.env.NATS_URL ?? 'nats://127.0.0.1:4222'];

class EchoGateway {
  /** @param {import('@nestjs/microservices').ClientProxy} worker @param {Groups} groups */
  constructor(worker, groups) {
    /** @private @readonly */
    this.worker = worker;
    /** @private @readonly */
    this.groups = groups;
  }

  /** @param {ClientMessage} message */
  echo({ id, body }) {
    return this.worker.send('echo.echo', body).pipe(map(answer => ({ id, body: answer })));
  }

  /** @param {ClientMessage} message @param {import('./groups.mjs').Member} socket */
  join({ id, body }, socket) {
    this.groups.join(body.group, socket);
    return { id, body: { ok: true } };
  }

  /** @param {ClientMessage} message */
  out({ body }) {
    this.worker.emit('fan.out', body);
  }

  /** @param {import('./groups.mjs').Member} socket */
  handleDisconnect(socket) {
    this.groups.leaveAll(socket);
  }
}
constructed(EchoGateway, [Inject(WORKER), Inject(GROUPS)]);
method(EchoGateway, 'echo', [SubscribeMessage('echo/echo')], [MessageBody()]);
method(EchoGateway, 'join', [SubscribeMessage('fan/join')], [MessageBody(), ConnectedSocket()]);
method(EchoGateway, 'out', [SubscribeMessage('fan/out')], [MessageBody()]);
WebSocketGateway()(EchoGateway);

/** What workers push to the groups of each gateway. */
class Pushes {
  /** @param {Groups} groups */
  constructor(groups) {
    /** @private @readonly */
    this.groups = groups;
  }

  /** @param {ClientMessage['body']} push */
  push({ group, data }) {
    this.groups.send(group, JSON.stringify({ topic: 'fan/msg', body: data }));
  }
}
constructed(Pushes, [Inject(GROUPS)]);
method(Pushes, 'push', [EventPattern('fan.msg')], [Payload()]);
Controller()(Pushes);

class AppModule {}
Module({
  imports: [ClientsModule.register([{ name: WORKER, transport: Transport.NATS, options: { servers } }])],
  providers: [EchoGateway, { provide: GROUPS, useValue: new Groups() }],
  controllers: [Pushes],
})(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.useWebSocketAdapter(new WsAdapter(app, { messageParser: parseMessage }));
app.connectMicroservice({ transport: Transport.NATS, options: { servers } });
await app.startAllMicroservices();
await app.listen(0, '127.0.0.1');
announce(portOf(app.getHttpServer()));
