/** The examples of `docs/worker.md`: what stands between the markers stands there too, and `worker-examples.e2e-spec.ts` runs it. */
import { setTimeout } from 'node:timers/promises';
import { type CallHandler, type CanActivate, Controller, type ExceptionFilter } from '@nestjs/common';
import { Catch, type ExecutionContext, Injectable, type NestInterceptor, ParseIntPipe } from '@nestjs/common';
import { Body, Module, Post, UseFilters, UseGuards, UseInterceptors, ValidationPipe } from '@nestjs/common';
import { Ctx, Payload, RpcException } from '@nestjs/microservices';
import {
  AbortSignal,
  ClientSession,
  type ConnectEvent,
  type DisconnectEvent,
  GatewayApi,
  GatewayApiModule,
} from '@nestgate/worker';
import { GateError, GateTransport, type GateTransportStatus, type NodeOptions } from '@nestgate/worker';
import { OnConnect, OnDisconnect, OnPresence, OnTopic, type PresenceEvent } from '@nestgate/worker';
import { Session, TopicContext, WorkerModule } from '@nestgate/worker';
import { IsInt, IsString, Max } from 'class-validator';
import { map, of, takeWhile, throwError, timer } from 'rxjs';

// example: OnTopic
export class Order {
  @IsString()
  dish!: string;

  @IsInt()
  @Max(10)
  count!: number;
}

@Controller()
export class OrderTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('orders/place')
  async place(@Payload(ValidationPipe) { dish, count }: Order, @ClientSession() session: Session) {
    await this.gateway.sendToGroup('kitchen', 'orders/placed', { dish, count, by: session.userId });
    return { table: session.get('table') }; // the reply, when the client asked with an id
  }
}
// end

// example: options of OnTopic
@Controller()
export class PhotoTopics {
  @OnTopic('photos/add')
  add(@Payload() photo: Buffer) {
    return { bytes: photo.length };
  }

  @OnTopic('photos/develop', { concurrent: true })
  async develop(@Payload() ms: number) {
    await setTimeout(ms);
    return { ms };
  }
}
// end

// example: streams
@Controller()
export class TickerTopics {
  @OnTopic('ticker/prices')
  async *prices(@Payload('dish') dish: string, @AbortSignal() signal: AbortSignal) {
    for (let price = 100; ; price++) {
      yield { dish, price };
      await setTimeout(1_000, undefined, { signal });
    }
  }

  @OnTopic('ticker/countdown')
  countdown(@Payload() from: number) {
    return timer(0, 10).pipe(
      map(n => from - n),
      takeWhile(n => n > 0),
    );
  }
}
// end

// example: parameters
@Controller()
export class MenuTopics {
  @OnTopic('menu/dish')
  dish(
    @Payload() body: { id: string },
    @Payload('id', ParseIntPipe) id: number,
    @ClientSession() session: Session,
    @Ctx() { topic, wantsReply, clientId }: TopicContext,
  ) {
    return { body, id, topic, wantsReply, isMine: clientId === session.clientId };
  }
}
// end

// example: pipeline
@Injectable()
export class StaffOnly implements CanActivate {
  canActivate(context: ExecutionContext) {
    return context.switchToRpc().getContext<TopicContext>().session.get('role') === 'staff';
  }
}

@Injectable()
export class Envelope implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<number>) {
    const { topic } = context.switchToRpc().getContext<TopicContext>();
    return next.handle().pipe(map(left => ({ topic, left })));
  }
}

@Catch(RangeError)
export class RangeFilter implements ExceptionFilter {
  catch({ message }: RangeError) {
    return throwError(() => ({ code: 'OUT_OF_STOCK', message }));
  }
}

@Controller()
@UseGuards(StaffOnly)
@UseFilters(RangeFilter)
export class StockTopics {
  private left = 10;

  @OnTopic('stock/take')
  @UseInterceptors(Envelope)
  take(@Payload(ParseIntPipe) count: number) {
    if (count > this.left) throw new RangeError(`Only ${this.left} are left`);
    return (this.left -= count);
  }
}
// end

// example: results
@Controller()
export class ResultTopics {
  @OnTopic('results/stream')
  stream() {
    return of(1, 2, 3); // the reply is 3
  }

  @OnTopic('results/bytes')
  bytes() {
    return Buffer.from('as they are');
  }

  @OnTopic('results/nothing')
  nothing() {} // the reply is null

  @OnTopic('results/refusal')
  refusal() {
    throw new RpcException({ code: 'SOLD_OUT', message: 'Come back tomorrow', details: { at: '11:00' } });
  }
}
// end

// example: Session
@Controller()
export class GuestTopics {
  @OnTopic('guests/login')
  async login(@Payload('name') name: string, @ClientSession() session: Session) {
    await session.toBind(name);
    await session.toSetBatch({ table: '7', courses: [] });
    return { uid: session.userId, settings: session.cloneSettings() };
  }

  @OnTopic('guests/leave')
  async leave(@ClientSession() session: Session) {
    await session.toSend('guests/left', { to: session.userId });
    await session.toClose();
  }
}
// end

// example: events
@Controller()
export class DoorTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnConnect()
  async arrived(@Payload() { query }: ConnectEvent, @ClientSession() session: Session) {
    if (query['shoes'] === 'none') throw new GateError('FORBIDDEN');
    await session.toSet('role', query['role'] ?? 'guest');
    await this.gateway.joinGroup(session.clientId, 'house');
  }

  @OnDisconnect()
  async left(@Payload() { code, groups }: DisconnectEvent, @ClientSession() session: Session) {
    await this.gateway.sendToGroup(groups, 'door/left', { code, role: session.get('role') });
  }
}
// end

// example: presence
@Controller()
export class FriendTopics {
  private readonly online = new Set<string>();

  @OnPresence('online', 'offline')
  seen(@Payload() { type, userId }: PresenceEvent) {
    if (type === 'online') this.online.add(userId);
    else this.online.delete(userId);
  }

  @OnTopic('friends/online')
  list() {
    return [...this.online];
  }
}
// end

// example: api
@Controller('news')
export class NewsController {
  constructor(private readonly gateway: GatewayApi) {}

  @Post()
  async publish(@Body() news: object) {
    return this.gateway.sendToAll('news/flash', news, undefined, undefined, { confirm: true });
  }
}

@Module({
  imports: [GatewayApiModule.forRoot({ link: process.env['NESTGATE_LINK'] })],
  controllers: [NewsController],
})
export class NewsApp {}
// end

// example: async options
export const CLUSTER = Symbol('cluster');

@Module({
  providers: [{ provide: CLUSTER, useFactory: async () => ({ link: process.env['NESTGATE_LINK'] }) }],
  exports: [CLUSTER],
})
export class ClusterModule {}

@Module({
  imports: [
    WorkerModule.forRootAsync({
      imports: [ClusterModule],
      inject: [CLUSTER],
      useFactory: (cluster: NodeOptions) => ({ ...cluster, nodeId: 'kitchen-1' }),
    }),
  ],
  controllers: [OrderTopics, PhotoTopics],
})
export class KitchenApp {}
// end

// example: status
@Injectable()
export class Readiness {
  private status: GateTransportStatus = 'closed';

  constructor(private readonly transport: GateTransport) {
    transport.status.subscribe(status => (this.status = status));
  }

  get isReady() {
    return this.status === 'listening' && this.transport.unwrap().isUp;
  }
}
// end
