/** A Nest `@WebSocketGateway` on platform-ws: one process. */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { concat, map, of, range } from 'rxjs';
import { method } from './decorate.mjs';
import { Groups } from './groups.mjs';
import { announce, parseMessage, portOf } from './peer.mjs';

/** @typedef {import('./peer.mjs').ClientMessage} ClientMessage */

class EchoGateway {
  constructor() {
    /** @private */
    this.groups = new Groups();
  }

  /** @param {ClientMessage} message */
  echo({ id, body }) {
    return { id, body };
  }

  /** @param {ClientMessage} message @param {import('./groups.mjs').Member} socket */
  join({ id, body }, socket) {
    this.groups.join(body.group, socket);
    return { id, body: { ok: true } };
  }

  /** @param {ClientMessage} message */
  count({ id, body }) {
    const items = range(1, body.n).pipe(map(item => ({ id, item })));
    return concat(items, of({ id, end: true }));
  }

  /** @param {ClientMessage} message */
  out({ body }) {
    this.groups.send(body.group, JSON.stringify({ topic: 'fan/msg', body: body.data }));
  }

  /** @param {import('./groups.mjs').Member} socket */
  handleDisconnect(socket) {
    this.groups.leaveAll(socket);
  }
}
method(EchoGateway, 'echo', [SubscribeMessage('echo/echo')], [MessageBody()]);
method(EchoGateway, 'join', [SubscribeMessage('fan/join')], [MessageBody(), ConnectedSocket()]);
method(EchoGateway, 'count', [SubscribeMessage('stream/count')], [MessageBody()]);
method(EchoGateway, 'out', [SubscribeMessage('fan/out')], [MessageBody()]);
WebSocketGateway()(EchoGateway);

class AppModule {}
Module({ providers: [EchoGateway] })(AppModule);

const app = await NestFactory.create(AppModule, { logger: ['error'] });
app.useWebSocketAdapter(new WsAdapter(app, { messageParser: parseMessage }));
await app.listen(0, '127.0.0.1');
announce(portOf(app.getHttpServer()));
