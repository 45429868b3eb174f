/** GraphQL with subscriptions, Socket.IO and plain WebSockets beside the gate, on one port. */
import { EventEmitter, on } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Controller, type INestApplication, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Args, GraphQLModule, Mutation, Query, Resolver, Subscription } from '@nestjs/graphql';
import { Payload } from '@nestjs/microservices';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { GateModule } from '@nestgate/gate';
import { GatewayApi, OnTopic } from '@nestgate/worker';
import type { Observable } from 'rxjs';
import { Socket } from 'socket.io';
import type { WebSocket, WebSocketServer } from 'ws';
import { serve } from './serve.js';

const said = new EventEmitter();
const WITH = process.env['WITH'] ?? '';

@Resolver()
class Sayings {
  constructor(private readonly gateway: GatewayApi) {}

  @Query(() => String)
  hello(): string {
    return 'hello';
  }

  @Mutation(() => Boolean)
  async say(@Args('text') text: string): Promise<boolean> {
    await this.gateway.sendToAll('said', text);
    return true;
  }

  @Subscription(() => String)
  async *said() {
    for await (const [text] of on(said, 'said') as AsyncIterable<[string]>) yield { said: text };
  }
}

@WebSocketGateway({ path: '/socket.io' })
class IoEcho {
  @SubscribeMessage('echo')
  echo(@MessageBody() body: unknown): unknown {
    return { event: 'echo', data: { by: 'socket.io', body } };
  }
}

@WebSocketGateway({ path: '/plain' })
class WsEcho {
  @SubscribeMessage('echo')
  echo(@MessageBody() body: unknown): unknown {
    return { event: 'echo', data: { by: 'ws', body } };
  }
}

@Controller()
class SayingTopics {
  @OnTopic('say')
  say(@Payload() text: string): string {
    said.emit('said', text);
    return text;
  }
}

/**
 * Nest has one adapter for all gateways. `WsAdapter` destroys upgrades on paths that it does not know: it is given a server of
 * its own, which never listens and gets only upgrades on the path of its gateway.
 */
class BothAdapters extends IoAdapter {
  private readonly plain: WsAdapter;

  constructor(app: INestApplication) {
    super(app);
    const facade = createServer();
    this.plain = new WsAdapter(facade);
    (app.getHttpServer() as Server).on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (request.url === '/plain') facade.emit('upgrade', request, socket, head);
    });
  }

  override create(port: number, options?: { path?: string }) {
    return options?.path === '/plain'
      ? (this.plain.create(port, options) as never)
      : super.create(port, options as never);
  }

  override bindMessageHandlers(
    client: object,
    handlers: unknown[],
    transform: (data: unknown) => Observable<unknown>,
  ): void {
    if (client instanceof Socket) super.bindMessageHandlers(client, handlers as never, transform as never);
    else this.plain.bindMessageHandlers(client as WebSocket, handlers as never, transform as never);
  }

  override bindClientConnect(server: object, callback: () => void): void {
    (server as WebSocketServer).on('connection', callback);
  }
}

@Module({
  imports: [
    GateModule.forRoot({ startupWait: 0 }),
    ...(WITH.includes('graphql')
      ? [
          GraphQLModule.forRoot<ApolloDriverConfig>({
            driver: ApolloDriver,
            autoSchemaFile: true,
            subscriptions: { 'graphql-ws': true },
            stopOnApplicationShutdown: process.env['STOP'] === 'late',
          }),
        ]
      : []),
  ],
  controllers: [SayingTopics],
  providers: [
    ...(WITH.includes('graphql') ? [Sayings] : []),
    ...(WITH.includes('io') ? [IoEcho] : []),
    ...(WITH.includes('ws') ? [WsEcho] : []),
  ],
})
class App {}

const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
if (WITH.includes('io') && WITH.includes('ws')) app.useWebSocketAdapter(new BothAdapters(app));
else if (WITH.includes('ws')) app.useWebSocketAdapter(new WsAdapter(app));
await serve(app);
