import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  type ArgumentMetadata,
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  type INestApplication,
  type INestMicroservice,
  type NestInterceptor,
  type PipeTransform,
  Scope,
  UseGuards,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { InterceptorsConsumer } from '@nestjs/core/internal';
import { Ctx, Payload, RpcException } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { GateModule } from '@nestgate/gate';
import { createTestCluster, FakeClient, type TestCluster } from '@nestgate/testing';
import { ClientSession, GateError, GateTransport, OnTopic, Session, TopicContext } from '@nestgate/worker';
import { IsInt, IsOptional } from 'class-validator';
import { Observable, of, throwError } from 'rxjs';

type App = INestApplication | INestMicroservice;

/** What application code was called with, in order. */
let calls: unknown[] = [];

/** A description of a value that two runs can be compared by. */
function shown(value: unknown): unknown {
  if (value instanceof Promise) return 'a promise';
  if (value instanceof Session) return 'the session';
  if (value instanceof TopicContext) return `the context of ${value.topic}`;
  if (value instanceof Dto) return { dto: [value.n, value.m] };
  if (Array.isArray(value)) return value.map(shown);
  return value === undefined ? 'undefined' : value;
}

function contextOf(context: ExecutionContext): unknown[] {
  const rpc = context.switchToRpc();
  return [
    context.getType(),
    context.getClass().name,
    context.getHandler().name,
    context.getArgs().length,
    shown(rpc.getData()),
    shown(rpc.getContext()),
  ];
}

class Dto {
  @IsInt()
  n: unknown;

  @IsOptional()
  @IsInt()
  m: unknown;
}

/** Turns of the event loop that the pipes of a parameter take at most. */
const TURNS = 4;
const later = <T>(value: T): Promise<T> => new Promise(resolve => setImmediate(resolve, value));
/** What `await` waits for, and is no promise: a query builder is such a thing. */
// oxlint-disable-next-line unicorn/no-thenable -- what this is about
const thenable = (value: unknown) => ({ then: (done: (value: unknown) => void) => setImmediate(done, value) });

function guard(name: string, answer: (context: ExecutionContext) => unknown): CanActivate {
  return {
    canActivate: context => {
      // Global ones are asked about handshakes, too.
      if (context.getType() !== 'rpc') return true;
      calls.push([name, ...contextOf(context)]);
      return answer(context) as boolean;
    },
  };
}

const yes = guard('yes', () => true);
const GUARDS: Record<string, readonly CanActivate[]> = {
  none: [],
  yes: [yes],
  no: [guard('no', () => false), yes],
  'two times yes': [yes, guard('yes too', () => true)],
  'yes and no': [yes, guard('no', () => false), yes],
  'yes, later': [yes, guard('later', () => later(true)), yes],
  'no, later': [guard('later', () => later(false)), yes],
  'a rejection': [guard('rejects', () => Promise.reject(new ForbiddenException('own text'))), yes],
  'a stream': [guard('stream', () => of(false, true)), yes],
  'a stream of no': [guard('stream', () => of(true, false)), yes],
  'a broken stream': [guard('stream', () => throwError(() => new RpcException({ code: 'OWN' })))],
  'a promise of a stream': [guard('promised stream', () => later(of(true))), guard('no', () => false)],
  'a text': [guard('text', () => 'yes'), yes],
  nothing: [guard('nothing', () => undefined), yes],
  'a throw': [
    guard('throws', () => {
      throw new GateError('RATE_LIMITED', 'slow down');
    }),
  ],
  'a secret throw': [
    guard('throws', () => {
      throw new Error('secret');
    }),
  ],
  'other payload': [guard('changes', context => ((context.getArgs<unknown[]>()[0] = { n: 7 }), true)), yes],
  'a promised payload': [guard('changes', context => ((context.getArgs<unknown[]>()[0] = later({ n: 8 })), true))],
  'more arguments': [guard('adds', context => context.getArgs<unknown[]>().push('more') > 0)],
};

function pipe(name: string, change: (value: unknown) => unknown): PipeTransform {
  return {
    transform: (value: unknown, { metatype, ...metadata }: ArgumentMetadata) => {
      calls.push([name, shown(value), metatype?.name, metadata]);
      return change(value);
    },
  };
}

class OwnValidation extends ValidationPipe {
  override transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    calls.push(['own validation', shown(value), metadata.type]);
    return super.transform(value, metadata);
  }
}

const sync = pipe('sync', value => (value instanceof Object && !(value instanceof TopicContext) ? value : [value]));
const PIPES: Record<string, readonly PipeTransform[]> = {
  none: [],
  validation: [new ValidationPipe()],
  'validation that transforms': [new ValidationPipe({ transform: true, whitelist: true, forbidNonWhitelisted: true })],
  'validation of decorators': [new ValidationPipe({ validateCustomDecorators: true })],
  'validation of one type': [new ValidationPipe({ expectedType: Dto })],
  'own validation': [new OwnValidation({ transform: true })],
  sync: [sync],
  'sync, async, sync': [sync, pipe('async', later), sync],
  thenable: [pipe('thenable', thenable), new ValidationPipe({ transform: true })],
  throws: [
    pipe('throws', () => {
      throw new BadRequestException(['one', 'two']);
    }),
    sync,
  ],
  rejects: [pipe('rejects', () => Promise.reject(new RpcException({ code: 'OWN', details: [1] })))],
  'tells all that metadata can be changed': [
    {
      transform: (value: unknown, metadata: ArgumentMetadata) => {
        calls.push(['changes', metadata.type]);
        Object.assign(metadata, { type: 'changed' });
        return value;
      },
    },
    sync,
  ],
};

const own = (name: string, make: (data: unknown) => unknown) =>
  createParamDecorator((data: unknown, context: ExecutionContext) => {
    calls.push([name, data, ...contextOf(context)]);
    return make(data);
  });
const Own = own('own', data => ({ own: data }));
const OwnLater = own('own, later', data => later({ own: data }));
const OwnThenable = own('own thenable', data => thenable({ own: data }));
const OwnThrow = own('own throw', () => {
  throw new GateError('UNAUTHORIZED', 'who are you');
});
const OwnReject = own('own reject', () => Promise.reject(new ForbiddenException()));

const parse = pipe('of the parameter', later);
/** The decorators of parameters, and their types as the compiler leaves them. */
const PARAMETERS: Record<string, readonly (readonly [ParameterDecorator | undefined, unknown])[]> = {
  none: [[undefined, Dto]],
  payload: [[Payload(), Dto]],
  'payload of no class': [[Payload(), Object]],
  'payload without type': [[Payload(), undefined]],
  'one key': [[Payload('n'), Number]],
  'payload, session': [
    [Payload(), Dto],
    [ClientSession(), Session],
  ],
  'session, context, payload': [
    [ClientSession(), Session],
    [Ctx(), Object],
    [Payload(), Dto],
  ],
  'context of its class': [[Ctx(), TopicContext]],
  'gap, payload': [
    [undefined, Object],
    [Payload(), Dto],
  ],
  'four of them': [
    [Payload(), Dto],
    [ClientSession(), Session],
    [Ctx(), Object],
    [Payload('n'), Object],
  ],
  'own, payload': [
    [Own('data'), Object],
    [Payload(), Dto],
  ],
  'payload, own, own': [
    [Payload(), Dto],
    [Own('one'), Object],
    [Own('two'), Object],
  ],
  'own, later': [
    [OwnLater('data'), Object],
    [Payload(), Dto],
  ],
  'own thenable': [[OwnThenable('data'), Dto]],
  'own throw': [
    [Payload(), Dto],
    [OwnThrow(), Object],
    [Own('after'), Object],
  ],
  'own reject': [
    [OwnReject(), Object],
    [Payload(), Dto],
  ],
  'pipe of its own': [
    [Payload('n', parse), Number],
    [Payload(sync), Dto],
  ],
};

const RESULTS: Record<string, (args: unknown[]) => unknown> = {
  value: shown,
  promise: async args => later(shown(args)),
  thenable: args => thenable(shown(args)),
  stream: args => of('first', shown(args)),
  throw: () => {
    throw new RpcException({ code: 'OWN_CODE', message: 'own message' });
  },
};

const BODIES: readonly unknown[] = [{ n: 1 }, { n: 'no', extra: 1 }, null, 'text', undefined];

interface Combination {
  readonly name: string;
  readonly guards: readonly CanActivate[];
  readonly pipes: readonly PipeTransform[];
  readonly parameters: (typeof PARAMETERS)[string];
  readonly result: (args: unknown[]) => unknown;
}

/** All parameters with all pipes, with some guard and result each; and some parameters with all guards. */
const COMBINATIONS: readonly Combination[] = [
  ...Object.entries(PARAMETERS).flatMap(([parameter, parameters], at) =>
    Object.entries(PIPES).map(([name, pipes], pipeAt) => {
      const results = Object.entries(RESULTS);
      const [result, returned] = results[(at + pipeAt) % results.length] as (typeof results)[number];
      const guarded = ['none', 'yes', 'yes, later'][(at + pipeAt) % 3] as string;
      const guards = GUARDS[guarded] ?? [];
      return { name: `${parameter}; ${name}; ${guarded}; ${result}`, guards, pipes, parameters, result: returned };
    }),
  ),
  // Guards know nothing of parameters: not each one with all of them.
  ...Object.entries(PARAMETERS).flatMap(([parameter, parameters], at) =>
    Object.entries(at % 4 === 1 ? GUARDS : {}).map(([name, guards]) => ({
      name: `${parameter}; guards: ${name}`,
      guards,
      pipes: [],
      parameters,
      result: shown,
    })),
  ),
];

/** A controller with a handler for each combination. */
function controllerOf(combinations: readonly Combination[]): new () => object {
  class Handlers {}
  Controller()(Handlers);
  for (const [index, { guards, pipes, parameters, result }] of combinations.entries()) {
    const key = `handle${index}`;
    const named = {
      [key](this: unknown, ...args: unknown[]) {
        calls.push(['handler', this instanceof Handlers, shown(args)]);
        return result(args);
      },
    };
    Object.defineProperty(Handlers.prototype, key, { value: named[key], writable: true, configurable: true });
    for (const [at, [decorate]] of [...parameters.entries()].toReversed()) decorate?.(Handlers.prototype, key, at);
    const types = parameters.map(([, type]) => type);
    if (!types.includes(undefined)) Reflect.defineMetadata('design:paramtypes', types, Handlers.prototype, key);
    const descriptor = Object.getOwnPropertyDescriptor(Handlers.prototype, key) as PropertyDescriptor;
    const decorators = [OnTopic(`two/${key}`, { payload: 'json' }), UseGuards(...guards), UsePipes(...pipes)];
    for (const decorate of decorators) decorate(Handlers.prototype, key, descriptor);
  }
  return Handlers;
}

/** Changes nothing, and sends every handler through the whole pipeline. */
@Injectable()
class Passing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle();
  }
}

describe('a handler with guards and pipes', () => {
  let cluster: TestCluster | undefined;
  const pipeline = jest.spyOn(InterceptorsConsumer.prototype, 'intercept');
  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
    pipeline.mockClear();
  });

  /** Frames that have come to their handler by Nest's pipeline; handshakes do so too. */
  const frames = () => pipeline.mock.calls.filter(([, , , , , type]) => type === 'rpc').length;

  async function start(controller: new () => object, setup: (app: App) => void): Promise<FakeClient> {
    cluster = await createTestCluster({
      handlers: { controllers: [controller] },
      gate: { messageRate: 0, requestTimeout: 3_000 },
      setup,
    });
    return cluster.connect();
  }

  /** What a client gets, and what was called for it, for each combination and body. */
  async function outcomes(client: FakeClient, combinations: readonly Combination[]): Promise<unknown[]> {
    const all: unknown[] = [];
    for (const [index, { name }] of combinations.entries()) {
      // Two of them each.
      for (const body of [BODIES[index % BODIES.length], BODIES[(index + 1) % BODIES.length]]) {
        calls = [];
        const { body: reply, error } = await client.exchange(`two/handle${index}`, body);
        // Where one parameter has failed, the pipes of others may go on after the answer.
        for (let turn = 0; turn < TURNS; turn++) await later(undefined);
        // What is called later belongs to something else, such as the handshake of the next client.
        all.push({ name, body, reply, error, calls: [...calls] });
      }
    }
    return all;
  }

  it('calls the same ones in the same order, and answers the same, as Nest does', async () => {
    const controller = controllerOf(COMBINATIONS);
    const quick = await outcomes(await start(controller, () => undefined), COMBINATIONS);
    // Nest's pipeline was not asked, or this compares it with itself.
    expect(frames()).toBe(0);
    await cluster?.close();
    const slow = await outcomes(
      await start(controller, app => void app.useGlobalInterceptors(new Passing())),
      COMBINATIONS,
    );
    expect(frames()).toBeGreaterThan(COMBINATIONS.length);
    for (const [index, each] of quick.entries()) expect(each).toEqual(slow[index]);
    expect(JSON.stringify(quick)).not.toContain('"secret"');
  });

  it('has global guards and pipes first, whichever way it is called', async () => {
    const some = COMBINATIONS.filter((_, index) => index % 7 === 0);
    const controller = controllerOf(some);
    const globals = (app: App): void => {
      app.useGlobalGuards(guard('global', () => true));
      app.useGlobalPipes(
        pipe('global', value => value),
        new ValidationPipe({ transform: true }),
      );
    };
    const quick = await outcomes(await start(controller, globals), some);
    expect(frames()).toBe(0);
    await cluster?.close();
    const slow = await outcomes(
      await start(controller, app => {
        globals(app);
        app.useGlobalInterceptors(new Passing());
      }),
      some,
    );
    for (const [index, each] of quick.entries()) expect(each).toEqual(slow[index]);
    expect(JSON.stringify(quick)).toContain('"global"');
  });

  it('has no guards that are made global after Nest has made its pipeline', async () => {
    const module = await Test.createTestingModule({
      imports: [GateModule.forRoot({ ws: {} })],
      controllers: [controllerOf(COMBINATIONS.slice(0, 1))],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
    app.useGlobalGuards(guard('late', () => false));
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    const transport = app.get(GateTransport);
    const [handle] = transport.getHandlers().values();
    const asNest: unknown = await handle?.({ n: 1 }, undefined);
    calls = [];
    const client = await FakeClient.connect(`ws://127.0.0.1:${port}/gate`);
    expect((await client.exchange('two/handle0', { n: 1 })).body).toEqual(asNest);
    expect(calls).toEqual([['handler', true, [{ n: 1 }]]]);
    await client.close();
    await app.close();
  });

  it('gets guards with request scope from Nest', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest implements CanActivate {
      private count = 0;

      canActivate(): boolean {
        return ++this.count === 1;
      }
    }

    @Controller()
    class Scoped {
      @UseGuards(PerRequest)
      @OnTopic('scoped/one')
      one(): string {
        return 'one';
      }
    }

    const client = await start(Scoped, () => undefined);
    expect([await client.request('scoped/one'), await client.request('scoped/one')]).toEqual(['one', 'one']);
    expect(frames()).toBe(2);
  });
});
