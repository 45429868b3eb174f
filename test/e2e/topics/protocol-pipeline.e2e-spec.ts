import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type ExecutionContext,
  ForbiddenException,
  type INestApplication,
  type INestMicroservice,
  type Provider,
  ValidationPipe,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { catchError, of, tap } from 'rxjs';
import {
  BodyGuard,
  BoundGuard,
  GuardedTopics,
  PerRequest,
  PipelineTopics,
  RequestTopics,
  Under,
} from './support/protocol-pipeline-support.js';
import { codeOf as codeOfAnswer } from '../../support/codes.js';

const SHAPES = [
  { name: 'one process', workers: 0 },
  { name: 'a gate and a worker', workers: 1 },
];

describe.each(SHAPES)("Nest's pipeline around topics in $name", ({ workers }) => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(setup?: (app: INestApplication | INestMicroservice) => void, providers: Provider[] = []) {
    cluster = await createTestCluster({
      workers,
      handlers: { controllers: [PipelineTopics, GuardedTopics, RequestTopics], providers: [PerRequest, ...providers] },
      setup,
    });
    const client = await cluster.connect();
    const codeOf = (topic: string, body?: unknown) => codeOfAnswer(client, topic, body);
    return { client, codeOf };
  }

  it.each(['pipe/guarded', 'guarded/one'])('asks the guard of %s, and tells its refusals apart', async topic => {
    const { client, codeOf } = await start();
    expect(await client.request(topic, 'fine')).toBe('fine');
    expect(await codeOf(topic, 'refused')).toBe('FORBIDDEN');
    expect((await client.exchange(topic, 'forbidden')).error).toEqual({ code: 'FORBIDDEN', message: 'Not you' });
    expect((await client.exchange(topic, 'unauthorized')).error).toEqual({
      code: 'UNAUTHORIZED',
      message: 'Who are you?',
    });
    expect(await client.request('pipe/open', 'refused')).toBe('refused');
  });

  it('asks global guards of useGlobalGuards', async () => {
    const { client, codeOf } = await start(app => void app.useGlobalGuards(new BodyGuard()));
    expect(await codeOf('pipe/open', 'refused')).toBe('FORBIDDEN');
    expect(await codeOf('pipe/open', 'unauthorized')).toBe('UNAUTHORIZED');
    expect(await client.request('pipe/open', 'fine')).toBe('fine');
  });

  it('asks global guards of APP_GUARD, with the metadata of the handler and the session', async () => {
    const { client, codeOf } = await start(undefined, [{ provide: APP_GUARD, useClass: BoundGuard }]);
    expect(await codeOf('pipe/open', 1)).toBe('FORBIDDEN');
    expect(await client.request('guarded/one', 1)).toBe(1);
    await cluster.api.bindUid(client.clientId, 'ada');
    expect(await client.request('pipe/open', 1)).toBe(1);
  });

  it.each(['useGlobalPipes', 'APP_PIPE'])('validates and transforms with a global ValidationPipe of %s', async how => {
    const pipe = new ValidationPipe({ transform: true, whitelist: true, forbidNonWhitelisted: true });
    const { client } = await (how === 'APP_PIPE'
      ? start(undefined, [{ provide: APP_PIPE, useValue: pipe }])
      : start(app => void app.useGlobalPipes(pipe)));
    expect(await client.request('pipe/order', { item: 'tea', count: '3' })).toEqual({
      item: 'tea',
      count: 3,
      isDto: true,
      type: 'number',
    });
    const { error } = await client.exchange('pipe/order', { item: 5, count: 0, more: 1 });
    expect(error?.code).toBe('BAD_REQUEST');
    expect(error?.details).toEqual(
      expect.arrayContaining(['item', 'count', 'more'].map(name => expect.stringContaining(name) as unknown)),
    );
  });

  it('applies pipes of methods and parameters, and picks fields of the payload', async () => {
    const { client, codeOf } = await start();
    expect(await client.request('pipe/double', 5)).toEqual({ value: 20, same: true, isSession: true });
    expect(await client.request('pipe/field', { count: '12' })).toEqual({ count: 12, topic: 'pipe/field' });
    expect(await codeOf('pipe/field', { count: 'many' })).toBe('BAD_REQUEST');
    expect(await codeOf('pipe/field')).toBe('BAD_REQUEST');
  });

  it('maps results with interceptors of methods, of an Observable the last', async () => {
    const { client, codeOf } = await start();
    const topic = 'pipe/mapped';
    expect(await client.request(topic, 7)).toEqual({ inner: 7, topic, wantsReply: true });
    expect(await codeOf('pipe/fails')).toBe('FORBIDDEN');
  });

  it.each(['useGlobalInterceptors', 'APP_INTERCEPTOR'])('maps results with global ones of %s', async how => {
    const outer = new Under('outer');
    const { client } = await (how === 'APP_INTERCEPTOR'
      ? start(undefined, [{ provide: APP_INTERCEPTOR, useValue: outer }])
      : start(app => void app.useGlobalInterceptors(outer)));
    const context = { topic: 'pipe/mapped', wantsReply: true };
    expect(await client.request('pipe/mapped', 7)).toEqual({ outer: { inner: 7, ...context }, ...context });
  });

  it('lets interceptors see and replace errors', async () => {
    const seen: unknown[] = [];
    const { client } = await start(app =>
      app.useGlobalInterceptors({
        intercept: (_context: ExecutionContext, next: CallHandler) =>
          next.handle().pipe(
            tap({ error: error => seen.push(error) }),
            catchError(() => of('replaced')),
          ),
      }),
    );
    expect(await client.request('pipe/fails')).toBe('replaced');
    expect(seen[0]).toBeInstanceOf(ForbiddenException);
  });

  it('creates request-scoped controllers for each frame', async () => {
    const { client, codeOf } = await start();
    const numbers: number[] = [];
    for (let n = 1; n <= 3; n++) {
      const reply = await client.request<{ number: number }>('request/scoped', { n });
      expect(reply).toMatchObject({ calls: 1, data: { n }, topic: 'request/scoped', isMine: true });
      numbers.push(reply.number);
    }
    expect(new Set(numbers).size).toBe(3);
    expect(await codeOf('request/scoped', 'refused')).toBe('FORBIDDEN');
    expect((await client.exchange('request/scoped', 'throws')).error).toEqual({
      code: 'FORBIDDEN',
      message: 'from inside',
    });
    expect(await codeOf('request/nothing')).toBe('NO_HANDLER');
  });
});
