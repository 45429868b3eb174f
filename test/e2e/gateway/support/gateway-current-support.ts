import { setTimeout as delay } from 'node:timers/promises';
import {
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import {
  type ConnectEvent,
  type DisconnectEvent,
  GatewayApi,
  OnConnect,
  OnDisconnect,
  OnTopic,
} from '@nestgate/worker';
import { concatMap, defer, interval, map, type Observable, take, tap } from 'rxjs';

/** What tests are told beside what clients get. */
export class Diary {
  readonly lines: unknown[] = [];
}

/** Knows nothing of clients: it is called by handlers. */
@Injectable()
export class Courier {
  constructor(private readonly gateway: GatewayApi) {}

  /** Waits in all the ways there are, and sends in between. */
  async deliver(body: unknown): Promise<void> {
    await this.gateway.sendToCurrentClient('got/at-once', body);
    await Promise.resolve();
    await this.gateway.sendToCurrentClient('got/microtask', body);
    await new Promise(resolve => setImmediate(resolve));
    await this.gateway.sendToCurrentClient('got/turn', body);
    await delay(Math.random() * 4);
    await this.gateway.sendToCurrentClient('got/timer', body);
    await this.gateway.getAllClientCount();
    await this.gateway.sendToCurrentClient('got/question', body);
    await new Promise<void>((resolve, reject) => {
      setTimeout(() => this.gateway.sendToCurrentClient('got/callback', body).then(resolve, reject), 1);
    });
  }
}

@Injectable()
export class TellingGuard implements CanActivate {
  constructor(private readonly gateway: GatewayApi) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    await this.gateway.sendToCurrentClient('got/guard', context.switchToRpc().getData<unknown>());
    return true;
  }
}

@Injectable()
export class TellingInterceptor implements NestInterceptor {
  constructor(private readonly gateway: GatewayApi) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const data = context.switchToRpc().getData<unknown>();
    void this.gateway.sendToCurrentClient('got/before', data);
    return next.handle().pipe(tap(() => void this.gateway.sendToCurrentClient('got/after', data)));
  }
}

/** Uses the current client in all places that belong to a frame. */
@Controller()
export class CurrentTopics {
  constructor(
    private readonly gateway: GatewayApi,
    private readonly courier: Courier,
    private readonly diary: Diary,
  ) {}

  @OnTopic('current/deliver', { concurrent: true })
  async deliver(@Payload() body: unknown) {
    await this.courier.deliver(body);
    return body;
  }

  @OnTopic('current/stream', { concurrent: true })
  stream(@Payload() body: unknown) {
    const send = (topic: string) => defer(() => this.gateway.sendToCurrentClient(topic, body));
    return interval(1).pipe(
      take(3),
      concatMap(n => send(`got/stream-${n}`).pipe(map(() => n))),
    );
  }

  @OnTopic('current/later')
  async later(@Payload() body: unknown) {
    await delay(1);
    return defer(() => this.gateway.sendToCurrentClient('got/later', body).then(() => body));
  }

  @OnTopic('current/pipeline')
  @UseGuards(TellingGuard)
  @UseInterceptors(TellingInterceptor)
  async pipeline(@Payload() body: unknown) {
    await this.gateway.sendToCurrentClient('got/handler', body);
    return body;
  }

  @OnTopic('current/confirm')
  confirm(@Payload() body: unknown) {
    return this.gateway.sendToCurrentClient('got/confirm', body, { confirm: true });
  }

  @OnTopic('current/close')
  close(@Payload() body: unknown) {
    return this.gateway.closeCurrentClient('got/last', body);
  }

  @OnTopic('current/destroy')
  destroy() {
    return this.gateway.destroyCurrentClient();
  }

  @OnConnect()
  async welcome({ query }: ConnectEvent) {
    if (query['unwanted']) await this.gateway.closeCurrentClient('got/refused', 'go away');
    else await this.gateway.sendToCurrentClient('got/welcome', query);
  }

  @OnDisconnect()
  async disconnected({ code }: DisconnectEvent) {
    const found = await this.gateway.sendToCurrentClient('got/disconnect', code, { confirm: true });
    this.diary.lines.push({ code, found, closed: await this.gateway.closeCurrentClient() });
  }
}
