import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  Catch,
  ConflictException,
  Controller,
  type ExceptionFilter,
  ForbiddenException,
  Get,
  HttpException,
  type INestApplication,
  type INestMicroservice,
  Injectable,
  Module,
  Param,
  type Provider,
  Scope,
  UseFilters,
} from '@nestjs/common';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import {
  type ClientProxy,
  ClientProxyFactory,
  EventPattern,
  MessagePattern,
  Payload,
  RpcException,
  Transport,
} from '@nestjs/microservices';
import { GateModule } from '@nestgate/gate';
import { FakeClient, waitUntil } from '@nestgate/testing';
import { GateTransport, OnTopic } from '@nestgate/worker';
import { lastValueFrom, throwError, timeout } from 'rxjs';
import { Recorder } from '../../support/recorder.js';

interface HttpReply {
  status(code: number): { json(body: unknown): void };
}

/** Says which filter it is, over HTTP and over other transports. */
abstract class Saying implements ExceptionFilter {
  protected abstract readonly name: string;

  catch(exception: unknown, host: ArgumentsHost): unknown {
    const said = { by: this.name, message: exception instanceof Error ? exception.message : String(exception) };
    if (host.getType() !== 'http') return throwError(() => said);
    host.switchToHttp().getResponse<HttpReply>().status(418).json(said);
    return undefined;
  }
}

@Catch()
class GlobalFilter extends Saying {
  protected readonly name = 'global';
}

@Catch(HttpException)
class OtherGlobalFilter extends Saying {
  protected readonly name = 'global for HTTP exceptions';
}

@Catch()
@Injectable({ scope: Scope.REQUEST })
class ScopedFilter extends Saying {
  protected readonly name = 'global, with request scope';
}

@Catch(HttpException)
class ClassFilter extends Saying {
  protected readonly name = 'class';
}

@Catch(ConflictException)
class MethodFilter extends Saying {
  protected readonly name = 'method';
}

@Catch(ConflictException)
class FailingFilter implements ExceptionFilter {
  catch(): never {
    throw new TypeError('the filter fails');
  }
}

const FAILURES: Record<string, () => unknown> = {
  forbidden: () => new ForbiddenException('no'),
  conflict: () => new ConflictException('twice'),
  rpc: () => new RpcException({ code: 'MINE', message: 'mine' }),
  text: () => new RpcException('a text'),
  plain: () => new Error('secret'),
};
const KINDS = Object.keys(FAILURES);

function fail(kind: string): never {
  throw FAILURES[kind]?.();
}

/** What both controllers of a pair have: one of them has topics too. */
@Controller()
class Plain {
  @Get('plain/:kind')
  route(@Param('kind') kind: string): never {
    return fail(kind);
  }

  @MessagePattern('plain', Transport.TCP)
  message(@Payload() kind: string): never {
    return fail(kind);
  }

  @EventPattern('plain event', Transport.TCP)
  event(@Payload() kind: string): void {
    fail(kind);
  }

  @UseFilters(MethodFilter)
  @MessagePattern('plain method', Transport.TCP)
  method(@Payload() kind: string): never {
    return fail(kind);
  }

  @UseFilters(FailingFilter)
  @MessagePattern('plain failing', Transport.TCP)
  failing(@Payload() kind: string): never {
    return fail(kind);
  }
}

@Controller()
class Mixed {
  @OnTopic('mixed/topic')
  topic(@Payload() kind: string): never {
    return fail(kind);
  }

  @Get('mixed/:kind')
  route(@Param('kind') kind: string): never {
    return fail(kind);
  }

  @MessagePattern('mixed', Transport.TCP)
  message(@Payload() kind: string): never {
    return fail(kind);
  }

  @EventPattern('mixed event', Transport.TCP)
  event(@Payload() kind: string): void {
    fail(kind);
  }

  @UseFilters(MethodFilter)
  @MessagePattern('mixed method', Transport.TCP)
  method(@Payload() kind: string): never {
    return fail(kind);
  }

  @UseFilters(FailingFilter)
  @MessagePattern('mixed failing', Transport.TCP)
  failing(@Payload() kind: string): never {
    return fail(kind);
  }
}

@UseFilters(ClassFilter)
@Controller()
class FilteredPlain extends Plain {}

@UseFilters(ClassFilter)
@Controller()
class FilteredMixed extends Mixed {}

interface Setting {
  readonly isFiltered?: boolean;
  readonly providers?: Provider[];
  /** Global filters of the app. */
  readonly global?: ExceptionFilter[];
  /** Global filters of the microservice alone. */
  readonly own?: ExceptionFilter[];
  readonly inheritAppConfig?: boolean;
}

describe('a controller with topics, routes and patterns of another transport', () => {
  let app: INestApplication;
  let proxy: ClientProxy;
  let log: Recorder;

  afterEach(async () => {
    await proxy.close();
    await app.close();
  });

  async function start({
    isFiltered = false,
    providers = [],
    global = [],
    own = [],
    inheritAppConfig = true,
  }: Setting) {
    const controllers = isFiltered ? [FilteredPlain, FilteredMixed] : [Plain, Mixed];
    @Module({ imports: [GateModule.forRoot({ startupWait: 0 })], controllers, providers })
    class App {}
    log = new Recorder();
    app = await NestFactory.create(App, { logger: log });
    app.useGlobalFilters(...global);
    const options = { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } } as const;
    const tcp: INestMicroservice = app.connectMicroservice(options, { inheritAppConfig, deferInitialization: true });
    tcp.useGlobalFilters(...own);
    app.connectMicroservice({ strategy: app.get(GateTransport) }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.listen(0, '127.0.0.1');
    const { port } = tcp.unwrap<{ address(): AddressInfo }>().address();
    proxy = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
    await proxy.connect();
  }

  const port = (): number => (app.getHttpServer() as { address(): AddressInfo }).address().port;

  async function ofRoute(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${port()}/${path}`, { headers: { connection: 'close' } });
    return [response.status, await response.json()];
  }

  const ofPattern = (pattern: string, kind: string): Promise<unknown> =>
    lastValueFrom(proxy.send<unknown>(pattern, kind).pipe(timeout(3_000))).then(
      answer => ({ answer }),
      (error: unknown) => ({ error }),
    );

  /** What is logged of an event, from its being sent until an answer to what was sent behind it. */
  async function ofEvent(pattern: string, kind: string): Promise<string[]> {
    const before = log.lines.length;
    await lastValueFrom(proxy.emit(pattern, kind).pipe(timeout(3_000)), { defaultValue: undefined });
    await ofPattern('nobody', 'handles this');
    const added = log.lines.slice(before).map(({ level, text }) => `${level} ${text}`);
    return added.filter(line => !line.includes('nobody'));
  }

  const settings: [string, Setting][] = [
    ['no filters', {}],
    ['filters of the class', { isFiltered: true }],
    ['a global filter', { global: [new GlobalFilter()] }],
    ['several global filters', { global: [new GlobalFilter(), new OtherGlobalFilter()] }],
    ['a global filter and one of the class', { isFiltered: true, global: [new GlobalFilter()] }],
    ['a global filter of a provider', { providers: [{ provide: APP_FILTER, useClass: GlobalFilter }] }],
    ['a global filter with request scope', { providers: [{ provide: APP_FILTER, useClass: ScopedFilter }] }],
    ['a global filter that the microservice does not have', { global: [new GlobalFilter()], inheritAppConfig: false }],
    ['a global filter of the microservice', { own: [new GlobalFilter()], inheritAppConfig: false }],
    [
      'global filters of both',
      { global: [new OtherGlobalFilter()], own: [new GlobalFilter()], inheritAppConfig: false, isFiltered: true },
    ],
  ];

  it.each(settings)('answers errors of routes and patterns as one without topics does: %s', async (_name, setting) => {
    await start(setting);
    for (const kind of KINDS) {
      expect([kind, await ofRoute(`mixed/${kind}`)]).toEqual([kind, await ofRoute(`plain/${kind}`)]);
      for (const pattern of ['', ' method']) {
        const [mixed, plain] = [`mixed${pattern}`, `plain${pattern}`];
        expect([plain, kind, await ofPattern(mixed, kind)]).toEqual([plain, kind, await ofPattern(plain, kind)]);
      }
      expect([kind, await ofEvent('mixed event', kind)]).toEqual([kind, await ofEvent('plain event', kind)]);
    }
  });

  it('leaves what a filter throws as Nest has it: without an answer', async () => {
    await start({});
    const answers = await Promise.all(['mixed', 'plain'].map(name => ofPattern(`${name} failing`, 'conflict')));
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject({ error: { name: 'TimeoutError' } });
    expect(await ofPattern('mixed failing', 'plain')).toEqual(await ofPattern('plain failing', 'plain'));
  });

  it('has its topics answered by the filters of the app beside them', async () => {
    await start({ global: [new OtherGlobalFilter()], own: [new GlobalFilter()], inheritAppConfig: false });
    const client = await FakeClient.connect(`ws://127.0.0.1:${port()}/gate`);
    expect((await client.exchange('mixed/topic', 'rpc')).error).toEqual({ code: 'MINE', message: 'mine' });
    expect(await ofPattern('mixed', 'rpc')).toEqual({ error: { by: 'global', message: 'mine' } });
    expect(await ofRoute('mixed/forbidden')).toEqual([418, { by: 'global for HTTP exceptions', message: 'no' }]);
    client.socket.terminate();
    await waitUntil('the client to be gone', () => client.closedWith);
  });
});
