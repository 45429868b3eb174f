import { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  HttpException,
  type INestApplication,
  Injectable,
  type NestInterceptor,
  type Provider,
  type Type,
  UnauthorizedException,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { GateModule, HandshakeHandler, HandshakeRequest, type HandshakeResult } from '@nestgate/gate';
import { waitUntil } from '@nestgate/testing';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';

type Platform = 'express' | 'fastify';

interface Seen {
  readonly request: HandshakeRequest & IncomingMessage & Record<string, unknown>;
  readonly response: ServerResponse & Record<string, (...args: unknown[]) => unknown>;
}

const seenOf = (host: ArgumentsHost): Seen => {
  const http = host.switchToHttp();
  return { request: http.getRequest(), response: http.getResponse() };
};

/** Does what the test says with the request and response of each handshake. */
@Injectable()
class ScriptedGuard implements CanActivate {
  static script: (seen: Seen) => boolean | Promise<boolean> = () => true;

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    if (context.getType() !== 'http') return true;
    return ScriptedGuard.script(seenOf(context));
  }
}

/** As the docs of Nest write it. */
@Catch()
class CatchEverything implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    const status = exception instanceof HttpException ? exception.getStatus() : 500;
    const path: unknown = httpAdapter.getRequestUrl(host.switchToHttp().getRequest());
    httpAdapter.reply(host.switchToHttp().getResponse(), { statusCode: status, path, by: 'filter' }, status);
  }
}

@Catch()
class ExtendsBase extends BaseExceptionFilter {
  override catch(exception: unknown, host: ArgumentsHost): void {
    // oxlint-disable-next-line promise/valid-params -- a filter's method, not a promise's
    super.catch(exception, host);
  }
}

/** As for Express: `response.status().json()`. */
@Catch(HttpException)
class StatusJson implements ExceptionFilter {
  catch(exception: HttpException, host: ArgumentsHost): void {
    const { request, response } = seenOf(host);
    const status = exception.getStatus();
    const chained = response.status?.(status) as Seen['response'] | undefined;
    chained?.json?.({ statusCode: status, path: request.url });
  }
}

/** As for Fastify: `reply.code().header().send()`. */
@Catch(HttpException)
class CodeSend implements ExceptionFilter {
  catch(exception: HttpException, host: ArgumentsHost): void {
    const { response } = seenOf(host);
    const coded = response.code?.(exception.getStatus()) as Seen['response'] | undefined;
    const chained = coded?.header?.('x-by', 'filter') as Seen['response'] | undefined;
    chained?.send?.({ why: exception.message });
  }
}

@Injectable()
class RequestLog implements NestInterceptor {
  static lines: string[] = [];

  intercept(context: ExecutionContext, next: CallHandler) {
    if (context.getType() === 'http') {
      const { request, response } = seenOf(context);
      const { originalUrl, method } = request;
      response.on('finish', () => {
        RequestLog.lines.push(`${method} ${originalUrl} ${request.get('user-agent')} ${response.statusCode}`);
      });
    }
    return next.handle();
  }
}

const codeSend: [string, Type<ExceptionFilter>, unknown] = [
  'a filter that uses code and send',
  CodeSend,
  { why: 'Who?' },
];

class Handshake extends HandshakeHandler {
  static script: (request: HandshakeRequest) => HandshakeResult | void = () => undefined;

  override handshake(request: HandshakeRequest): HandshakeResult | void {
    return Handshake.script(request);
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

describe.each<Platform>(['express', 'fastify'])('guards, interceptors and filters for HTTP, on %s', platform => {
  let app: INestApplication | undefined;

  afterEach(async () => {
    ScriptedGuard.script = () => true;
    Handshake.script = () => undefined;
    RequestLog.lines = [];
    await app?.close();
    app = undefined;
  });

  async function start(...providers: Provider[]): Promise<void> {
    const module = await Test.createTestingModule({
      imports: [
        GateModule.forRoot({ startupWait: 0, providers: [{ provide: HandshakeHandler, useClass: Handshake }] }),
      ],
      providers: [{ provide: APP_GUARD, useClass: ScriptedGuard }, ...providers],
    }).compile();
    app =
      platform === 'fastify'
        ? module.createNestApplication(new FastifyAdapter(), { logger: false })
        : module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
  }

  async function ask(headers: Record<string, string | string[]> = {}, path = '/gate?a=1'): Promise<Answer> {
    const { port } = (app as INestApplication).getHttpServer().address() as AddressInfo;
    const socket = await RawSocket.open(port);
    socket.send(upgradeRequest({ path, headers }));
    const status = await socket.answer();
    if (status !== 101) await waitUntil('the end', () => socket.ended);
    const [head = '', body = ''] = socket.received.toString('latin1').split('\r\n\r\n', 2);
    socket.reset();
    const lines = head.split('\r\n').slice(1);
    const pairs = lines.map(line => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 2),
    ]);
    return { status, headers: Object.fromEntries(pairs) as Record<string, string>, body };
  }

  it('what ends the response has refused, whether it goes on or not', async () => {
    await start();
    ScriptedGuard.script = ({ response }) => {
      response.statusCode = 429;
      response.setHeader('Retry-After', 7);
      response.end('{"by":"middleware"}');
      return new Promise(() => undefined);
    };
    const { status, headers, body } = await ask();
    expect([status, headers['retry-after'], body]).toEqual([429, '7', '{"by":"middleware"}']);
  });

  it.each([StatusJson, CatchEverything])('an end that is put off is waited for: %p', async filter => {
    await start({ provide: APP_FILTER, useClass: filter });
    // As express-session does until the session is stored.
    ScriptedGuard.script = ({ response }) => {
      const end = response.end.bind(response) as (...args: unknown[]) => unknown;
      response.end = ((...args: unknown[]) => {
        response.writeHead(response.statusCode);
        setImmediate(() => end(...args));
        return response;
      }) as typeof response.end;
      throw new HttpException('No coffee', 418);
    };
    const { status, body } = await ask();
    expect([status, JSON.parse(body)]).toEqual([418, expect.objectContaining({ statusCode: 418, path: '/gate?a=1' })]);
  });

  it('a guard reads the request as one of a route', async () => {
    await start();
    let seen: Record<string, unknown> = {};
    let closed = 0;
    ScriptedGuard.script = ({ request }) => {
      request.on('close', () => closed++);
      request.socket.on('close', () => closed++);
      seen = {
        userAgent: request.get('user-agent'),
        header: request.header('USER-AGENT'),
        originalUrl: request.originalUrl,
        url: request.url,
        baseUrl: request.baseUrl,
        path: request.path,
        query: request.query,
        params: request.params,
        hostname: request.hostname,
        protocol: request.protocol,
        secure: request.secure,
        ip: request.ip,
        remote: request.socket.remoteAddress,
        rawHeader: request.rawHeaders[0],
        version: request.httpVersion,
        isRequest: request instanceof HandshakeRequest,
        raw: request.raw.url,
        hasUser: 'user' in request && 'rawHeaders' in request && !('nothing' in request),
      };
      return true;
    };
    expect((await ask({ 'User-Agent': 'robot' })).status).toBe(101);
    expect(seen).toEqual({
      userAgent: 'robot',
      header: 'robot',
      originalUrl: '/gate?a=1',
      url: '/gate?a=1',
      baseUrl: '',
      path: '/gate',
      query: { a: '1' },
      params: {},
      hostname: 'gate.test',
      protocol: 'http',
      secure: false,
      ip: '127.0.0.1',
      remote: '127.0.0.1',
      rawHeader: 'Host',
      version: '1.1',
      isRequest: true,
      raw: '/gate?a=1',
      hasUser: true,
    });
    await waitUntil('the end of the connection', () => closed > 0);
  });

  it('a guard leaves something on the request, which the handler sees', async () => {
    await start();
    ScriptedGuard.script = ({ request }) => {
      Object.assign(request, { tenant: 7, user: { name: 'ada' } });
      return true;
    };
    let seen: unknown;
    Handshake.script = request => void (seen = [request.user, (request as unknown as { tenant: number }).tenant]);
    expect((await ask()).status).toBe(101);
    expect(seen).toEqual([{ name: 'ada' }, 7]);
  });

  it.each<[name: string, touch: (response: Seen['response']) => unknown]>([
    ['header', response => response.header?.('x-limit', '5')],
    ['setHeader', response => response.setHeader('X-Limit', '5')],
  ])('headers that a guard sets with %s go into the refusal', async (_name, touch) => {
    await start();
    ScriptedGuard.script = ({ response }) => {
      touch(response);
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.setHeader('connection', 'keep-alive');
      response.setHeader('transfer-encoding', 'chunked');
      throw new UnauthorizedException('No token');
    };
    const { status, headers, body } = await ask();
    expect({ status, body: JSON.parse(body) as unknown }).toEqual({
      status: 401,
      body: { statusCode: 401, message: 'No token' },
    });
    expect(headers).toMatchObject({ 'x-limit': '5', 'set-cookie': 'b=2', connection: 'close' });
    expect(headers).not.toHaveProperty('transfer-encoding');
  });

  it('a guard that sets headers and says yes lets in', async () => {
    await start();
    ScriptedGuard.script = ({ response }) => {
      response.header?.('x-limit', '5');
      return true;
    };
    expect((await ask()).status).toBe(101);
  });

  it('a guard that answers by itself has refused, whatever it returns', async () => {
    await start();
    ScriptedGuard.script = ({ response }) => {
      response.status?.(402);
      response.end('pay first');
      return true;
    };
    expect(await ask()).toMatchObject({ status: 402, body: 'pay first' });
  });

  it.each<[name: string, filter: Type<ExceptionFilter>, body: unknown]>([
    [
      'a catch-all filter that replies with the adapter',
      CatchEverything,
      { statusCode: 401, path: '/gate?a=1', by: 'filter' },
    ],
    ['a filter that extends the base filter', ExtendsBase, { statusCode: 401, message: 'Who?', error: 'Unauthorized' }],
    ['a filter that uses status and json', StatusJson, { statusCode: 401, path: '/gate?a=1' }],
    ...(platform === 'fastify' ? [codeSend] : []),
  ])('%s answers with the 401 that was thrown', async (_name, useClass, body) => {
    await start({ provide: APP_FILTER, useClass });
    ScriptedGuard.script = () => {
      throw new UnauthorizedException('Who?');
    };
    const answer = await ask();
    expect([answer.status, JSON.parse(answer.body)]).toEqual([401, body]);
    expect(answer.headers['content-type']).toContain('application/json');
    ScriptedGuard.script = () => true;
    expect((await ask()).status).toBe(101);
    Handshake.script = () => {
      throw new Error('a bug');
    };
    expect((await ask()).status).toBe(500);
  });

  it('an interceptor that waits for the end of the response logs each handshake', async () => {
    await start({ provide: APP_INTERCEPTOR, useClass: RequestLog });
    expect((await ask({ 'User-Agent': 'robot' })).status).toBe(101);
    Handshake.script = () => {
      throw new UnauthorizedException();
    };
    expect((await ask({ 'User-Agent': 'robot' })).status).toBe(401);
    await waitUntil('both lines', () => RequestLog.lines.length === 2);
    expect(RequestLog.lines).toEqual(['GET /gate?a=1 robot 101', 'GET /gate?a=1 robot 401']);
  });

  it('of two cookies with one name the first counts, without quotes', async () => {
    await start();
    let cookies: unknown;
    ScriptedGuard.script = ({ request }) => {
      cookies = { ...request.cookies };
      return true;
    };
    await ask({ Cookie: 'sid=first; sid=second; quoted="a b"; odd=%zz; enc=a%20b; half="x; empty=' });
    expect(cookies).toEqual({ sid: 'first', quoted: 'a b', odd: '%zz', enc: 'a b', half: '"x', empty: '' });
  });

  it.each(['/gate', '/gate/', '/gate/?x=1', 'http://gate.test/gate', 'http://other.test/gate/'])(
    'a client is accepted at %s, and a plain request is told that it is an endpoint',
    async path => {
      await start();
      expect((await ask({}, path)).status).toBe(101);
      const plain = { Connection: 'close', Upgrade: [], 'Sec-WebSocket-Key': [], 'Sec-WebSocket-Version': [] };
      if (!path.startsWith('http')) expect(await ask(plain, path)).toMatchObject({ status: 400 });
    },
  );

  it.each(['/GATE', '/gate//', '/gatex'])('nothing is at %s, for either', async path => {
    await start();
    expect((await ask({}, path)).status).toBe(404);
    const plain = { Connection: 'close', Upgrade: [], 'Sec-WebSocket-Key': [], 'Sec-WebSocket-Version': [] };
    expect(await ask(plain, path)).toMatchObject({ status: 404 });
  });
});
