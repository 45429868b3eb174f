import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  type CallHandler,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  ForbiddenException,
  Get,
  Injectable,
  InternalServerErrorException,
  type NestInterceptor,
  Scope,
  UseGuards,
} from '@nestjs/common';
import { Ctx, Payload, RpcException } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { GateModule } from '@nestgate/gate';
import { createTestCluster, FakeClient, type TestCluster } from '@nestgate/testing';
import { ClientSession, GateError, GateTransport, OnTopic, Session, TopicContext } from '@nestgate/worker';
import { concat, delay, NEVER, Observable, of, throwError } from 'rxjs';

const Shout = createParamDecorator((suffix: string, context: ExecutionContext) => {
  const payload = context.switchToRpc().getData<string>();
  return `${payload.toUpperCase()}${suffix} in ${context.getClass().name}.${context.getHandler().name}`;
});

/** Handlers of every kind that needs no pipeline. */
@Controller()
class Handlers {
  private readonly own = 'own state';

  /** A route beside the topics, whose pipeline is made with the configuration of the app. */
  @Get('route')
  route(): void {}

  @OnTopic('path/value')
  value(@Payload() body: unknown): unknown {
    return { body, own: this.own };
  }

  @OnTopic('path/bare')
  bare(body: unknown, ...rest: unknown[]): unknown {
    return { body, rest: rest.length };
  }

  @OnTopic('path/none')
  none(): void {}

  @OnTopic('path/key')
  key(@Payload('name') name: unknown, @Payload('other') other: unknown): unknown {
    return [name ?? null, other ?? null];
  }

  @OnTopic('path/all')
  all(
    @ClientSession() session: Session,
    @Ctx() context: TopicContext,
    @Payload() body: string,
    @Shout('!') shout: string,
  ): unknown {
    return [session.clientId === context.clientId, context.session === session, context.topic, body, shout];
  }

  @OnTopic('path/gap')
  gap(first: unknown, @Payload() body: unknown): unknown {
    return [first ?? null, body];
  }

  @OnTopic('path/promise')
  async promise(@Payload() body: unknown): Promise<unknown> {
    await new Promise(resolve => setTimeout(resolve, 5));
    return body;
  }

  @OnTopic('path/stream')
  stream(): Observable<number> {
    return concat(of(1, 2), of(3).pipe(delay(5)));
  }

  @OnTopic('path/empty-stream')
  emptyStream(): Observable<number> {
    return of();
  }

  @OnTopic('path/promised-stream')
  async promisedStream(): Promise<Observable<number>> {
    return of(7);
  }

  @OnTopic('path/throw')
  throw(@Payload() what: string): unknown {
    throw errorOf(what);
  }

  @OnTopic('path/reject')
  async reject(@Payload() what: string): Promise<unknown> {
    await Promise.resolve();
    throw errorOf(what);
  }

  @OnTopic('path/broken-stream')
  brokenStream(@Payload() what: string): Observable<unknown> {
    return concat(
      of(1),
      throwError(() => errorOf(what)),
    );
  }

  @OnTopic('path/unsendable')
  unsendable(): unknown {
    return 1n;
  }

  @OnTopic('path/hang')
  hang(): Observable<never> {
    return NEVER;
  }
}

function errorOf(what: string): unknown {
  const errors: Record<string, unknown> = {
    plain: new Error('secret'),
    text: 'secret',
    nothing: undefined,
    rpc: new RpcException({ code: 'OWN_CODE', message: 'own message', details: { n: 1 } }),
    rpcText: new RpcException('only a text'),
    gate: new GateError('SESSION_NOT_FOUND', 'gone', { node: 'secret' }),
    internal: new GateError('LINK_UNAVAILABLE', 'secret'),
    bad: new BadRequestException(['one', 'two']),
    forbidden: new ForbiddenException('not you'),
    server: new InternalServerErrorException('secret'),
  };
  return errors[what];
}

/** Changes nothing, and sends every handler through the whole pipeline. */
@Injectable()
class Passing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

/** A request of each kind. */
const REQUESTS: readonly (readonly [string, unknown?])[] = [
  ...[1, 'text', null, { name: 'x', other: [1] }, [], undefined].flatMap(body =>
    ['value', 'bare', 'none', 'key', 'gap', 'promise'].map(topic => [`path/${topic}`, body] as const),
  ),
  ['path/all', 'loud'],
  ['path/stream'],
  ['path/empty-stream'],
  ['path/promised-stream'],
  ['path/unsendable'],
  ...['plain', 'text', 'nothing', 'rpc', 'rpcText', 'gate', 'internal', 'bad', 'forbidden', 'server'].flatMap(what =>
    ['throw', 'reject', 'broken-stream'].map(topic => [`path/${topic}`, what] as const),
  ),
];

describe('a handler with an empty pipeline', () => {
  let cluster: TestCluster | undefined;
  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
  });

  async function answers(interceptors: NestInterceptor[]): Promise<unknown[]> {
    cluster = await createTestCluster({
      handlers: { controllers: [Handlers] },
      gate: { messageRate: 0, requestTimeout: 3_000 },
      setup: app => void app.useGlobalInterceptors(...interceptors),
    });
    const client: FakeClient = await cluster.connect();
    const replies: unknown[] = [];
    for (const [topic, body] of REQUESTS) {
      const { body: reply, error } = await client.exchange(topic, body);
      replies.push([topic, body, reply, error]);
    }
    return replies;
  }

  it('answers as it does within one, whatever it gets, returns or throws', async () => {
    const plain = await answers([]);
    await cluster?.close();
    const piped = await answers([new Passing()]);
    expect(plain).toEqual(piped);
    expect(plain.filter(reply => (reply as unknown[])[3] === undefined).length).toBeGreaterThan(30);
    expect(JSON.stringify(plain)).not.toContain('secret');
  });

  it('is not called without the guard, pipe or filter of another one of its class', async () => {
    @Injectable()
    class Never {
      canActivate(): boolean {
        return false;
      }
    }

    @Controller()
    class Mixed {
      @OnTopic('mixed/open')
      open(): string {
        return 'open';
      }

      @UseGuards(Never)
      @OnTopic('mixed/shut')
      shut(): string {
        return 'shut';
      }
    }

    @UseGuards(Never)
    @Controller()
    class Shut {
      @OnTopic('shut/all')
      all(): string {
        return 'all';
      }
    }

    @Controller({ scope: Scope.REQUEST })
    class PerRequest {
      private count = 0;

      @OnTopic('scope/count')
      next(): number {
        return ++this.count;
      }
    }

    cluster = await createTestCluster({ handlers: { controllers: [Mixed, Shut, PerRequest] } });
    const client = await cluster.connect();
    expect((await client.exchange('mixed/open')).body).toBe('open');
    expect((await client.exchange('mixed/shut')).error?.code).toBe('FORBIDDEN');
    expect((await client.exchange('shut/all')).error?.code).toBe('FORBIDDEN');
    expect([await client.request('scope/count'), await client.request('scope/count')]).toEqual([1, 1]);
  });

  it('is not called without the guards of a microservice with a configuration of its own', async () => {
    const module = await Test.createTestingModule({
      imports: [GateModule.forRoot({ ws: {} })],
      controllers: [Handlers],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    const microservice = app.connectMicroservice(
      { strategy: app.get(GateTransport) },
      { inheritAppConfig: false, deferInitialization: true },
    );
    microservice.useGlobalGuards({ canActivate: () => false });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    expect((await client.exchange('path/value', 1)).error?.code).toBe('FORBIDDEN');
    await client.close();
    await app.close();
  });

  it('is left behind when it hangs', async () => {
    cluster = await createTestCluster({ handlers: { controllers: [Handlers] }, gate: { requestTimeout: 300 } });
    const client = await cluster.connect();
    expect((await client.exchange('path/hang')).error?.code).toBe('TIMEOUT');
    expect((await client.exchange('path/value', 1)).body).toMatchObject({ body: 1 });
  });
});
