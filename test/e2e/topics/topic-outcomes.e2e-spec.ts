import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { INestApplication, INestMicroservice, Provider, Type } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, HttpAdapterHost } from '@nestjs/core';
import { BinaryClient, createTestCluster, type FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import {
  AdapterFilter,
  AsyncHttpFilter,
  DetailTopics,
  FailingFilterTopics,
  FailingTopics,
  HttpOnlyFilter,
  OwnFilterTopics,
  RethrowingFilter,
  ScopedFilter,
  SeveralTopics,
  SilentFilter,
  SuperFilter,
  UntypedTopics,
  ValueTopics,
  WaitingTopics,
} from '../support/topic-outcomes-support.js';
import { Recorder } from '../../support/recorder.js';

const INTERNAL = { code: 'INTERNAL', message: 'Internal server error' };

let cluster: TestCluster;
let log: Recorder;

/** The log of topics takes ten errors in a second, of all tests together. A test has eight at most. */
const SPARE_ERRORS = 2;
const LOG_WINDOW_MS = 1_000;
/** Errors that tests have logged since the log was last left alone for a whole window. */
let logged = 0;

afterEach(async () => {
  await cluster.close();
  logged += log.lines.filter(({ level }) => level === 'error').length;
  if (logged <= SPARE_ERRORS) return;
  await setTimeout(LOG_WINDOW_MS);
  logged = 0;
});

interface Setting {
  readonly providers?: Provider[];
  readonly workers?: number;
  readonly requestTimeout?: number;
  readonly setup?: (app: INestApplication | INestMicroservice) => void;
}

async function start(controllers: Type[], setting: Setting = {}): Promise<FakeClient> {
  const { providers = [], workers = 0, requestTimeout, setup } = setting;
  log = new Recorder();
  cluster = await createTestCluster({
    workers,
    handlers: { controllers, providers },
    gate: { requestTimeout },
    setup: app => {
      app.useLogger(log);
      setup?.(app);
    },
  });
  return cluster.connect();
}

describe('errors of handlers', () => {
  /** Without anything around it a handler is called by itself; with a guard Nest's pipeline is. */
  const around: [string, Provider[]][] = [
    ['without a pipeline', []],
    ['with a pipeline', [{ provide: APP_GUARD, useValue: { canActivate: () => true } }]],
  ];

  it.each(around)('keep code, message and details, %s', async (_how, providers) => {
    const client = await start([FailingTopics], { providers });
    const told = async (kind: string) => (await client.exchange('failing/throw', kind)).error;
    expect(await told('forbidden')).toEqual({ code: 'FORBIDDEN', message: 'not you' });
    expect(await told('own')).toEqual({ code: 'SOLD_OUT', message: 'gone', details: [{ path: ['dish'] }] });
    expect(await told('gate')).toEqual({ code: 'SESSION_NOT_FOUND', message: 'The session does not exist' });
    expect(await told('rpc')).toEqual({ code: 'NOT_FOUND', message: 'no such dish' });
    expect(await told('ws')).toEqual({ code: 'CONFLICT', message: 'taken' });
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it.each(around)('that are masked are logged once, with topic and stack, %s', async (_how, providers) => {
    const client = await start([FailingTopics], { providers });
    expect((await client.exchange('failing/throw', 'plain')).error).toEqual(INTERNAL);
    const lines = log.with('a secret');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: 'error', text: 'failing/throw: Error: a secret' });
    expect(lines[0]?.rest[0]).toContain('at failure');
  });

  const filters: [string, Provider][] = [
    ['that writes an HTTP response', { provide: APP_FILTER, useClass: HttpOnlyFilter }],
    ['that does so later', { provide: APP_FILTER, useClass: AsyncHttpFilter }],
    ['that calls httpAdapter.reply', { provide: APP_FILTER, useClass: AdapterFilter }],
    [
      'that calls BaseExceptionFilter.catch',
      {
        provide: APP_FILTER,
        inject: [HttpAdapterHost],
        useFactory: ({ httpAdapter }: HttpAdapterHost) => new SuperFilter(httpAdapter),
      },
    ],
  ];

  it.each(filters)('keep their code when there is a global filter %s', async (_what, filter) => {
    const client = await start([FailingTopics], { providers: [filter] });
    const told = async (kind: string) => (await client.exchange('failing/throw', kind)).error;
    expect(await told('forbidden')).toEqual({ code: 'FORBIDDEN', message: 'not you' });
    expect(await told('rpc')).toEqual({ code: 'NOT_FOUND', message: 'no such dish' });
    expect(await told('plain')).toEqual(INTERNAL);
    expect(log.with('failing/throw: Error: a secret')).toHaveLength(1);
    const hints = log.with('the exception filter ', 'error');
    expect(hints).toHaveLength(1);
    expect(hints[0]?.text).toMatch(
      /failing\/throw: the exception filter (HttpOnly|AsyncHttp|Adapter|Super)Filter has failed/,
    );
    expect(hints[0]?.text).toContain("host.getType() === 'http'");
  });

  it.each([SilentFilter, RethrowingFilter])('keep their code when a global %p has no answer', async useClass => {
    const client = await start([FailingTopics], { providers: [{ provide: APP_FILTER, useClass }] });
    expect((await client.exchange('failing/throw', 'own')).error).toMatchObject({ code: 'SOLD_OUT' });
    expect((await client.exchange('failing/throw', 'plain')).error).toEqual(INTERNAL);
    expect(log.with('a secret')).toHaveLength(1);
    expect(log.with('the exception filter ')).toEqual([]);
  });

  it('go to a global filter that is made for each request', async () => {
    const client = await start([FailingTopics], { providers: [{ provide: APP_FILTER, useClass: ScopedFilter }] });
    expect((await client.exchange('failing/throw', 'range')).error).toEqual({
      code: 'OUT_OF_RANGE',
      message: 'too many',
    });
    expect((await client.exchange('failing/throw', 'own')).error).toMatchObject({ code: 'SOLD_OUT' });
  });

  it('are logged when a filter of the class fails with them', async () => {
    const client = await start([OwnFilterTopics]);
    expect((await client.exchange('own/throw', 'forbidden')).error).toEqual(INTERNAL);
    const lines = log.with('own/throw: an exception filter has failed: TypeError');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.rest[0]).toContain('topic-outcomes-support');
    expect(log.with('not you')).toHaveLength(1);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
  });

  it.each([0, 1])('are logged once beside the error of their filter, with %d workers', async workers => {
    const client = await start([FailingFilterTopics], { workers });
    for (const [topic, message, original] of [
      ['filter/method', 'a secret', 'Error: a secret'],
      ['filter/method', 'later', 'Error: later'],
      ['filter/stream', 'a secret', 'Error: a secret'],
      ['filter/guard', '', 'Forbidden resource'],
    ] as const) {
      const before = log.lines.length;
      expect((await client.exchange(topic, message)).error).toEqual(INTERNAL);
      const added = log.lines.slice(before).filter(({ level }) => level === 'error');
      const errors = added.map(({ text }) => text);
      expect(errors).toEqual([
        `${topic}: an exception filter has failed: TypeError: the filter`,
        expect.stringContaining(`${topic}: the error that the filter was asked about: `),
      ]);
      expect(errors[1]).toContain(original);
    }
  });

  it('may be translated by a filter that throws one with a code, or thrown on', async () => {
    const client = await start([FailingFilterTopics]);
    expect((await client.exchange('filter/method', 'coded')).error).toEqual({ code: 'MINE', message: 'mine' });
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    expect((await client.exchange('filter/method', 'same')).error).toEqual(INTERNAL);
    expect(log.lines.filter(({ level }) => level === 'error').map(({ text }) => text)).toEqual([
      'filter/method: Error: same',
    ]);
  });

  it.each([
    ['map', 'details.dishes[0].items[1].tags is a Map'],
    ['bigint', 'details.dishes[0].price is a BigInt'],
    ['cycle', 'details.dishes[0].menu.dish is a part of itself'],
    ['jsonBigint', 'details.dishes[0].toJSON().cents is a BigInt'],
    ['nan', 'details.dishes[0].price is NaN'],
  ])('arrive without details that are a %s, and the log says which', async (kind, what) => {
    const client = await start([DetailTopics]);
    for (const topic of ['details/rpc', 'details/http', 'details/filter']) {
      expect((await client.exchange(topic, kind)).error).toEqual({
        code: 'SOLD_OUT',
        message: 'gone',
        details: { truncated: true },
      });
      expect(log.with(`${topic}: ${what}, which cannot be sent as JSON`, 'error')).toHaveLength(1);
    }
    expect((await client.exchange('details/rpc', 'date')).error?.details).toEqual({
      dishes: [{ at: '1970-01-01T00:00:00.000Z' }],
    });
  });
});

describe('what a handler returns', () => {
  it.each([
    ['map', 'reply.items[1].tags is a Map'],
    ['set', 'reply is a Set'],
    ['promise', 'reply.later is a promise that was not awaited'],
    ['error', 'reply.error is an Error'],
    ['nan', 'reply.price is NaN'],
    ['function', 'reply.run is a function'],
    ['generator', 'reply is a generator'],
    ['file', 'reply is a StreamableFile'],
    ['bigint', 'reply.price is a BigInt'],
    ['cycle', 'reply.menu.dish is a part of itself'],
    ['jsonBigint', 'reply.toJSON().cents is a BigInt'],
    ['jsonThrows', 'reply.dish is an object whose toJSON throws (not today)'],
  ])('is refused when it is a %s, and logged with its topic', async (kind, what) => {
    const client = await start([ValueTopics]);
    expect((await client.exchange('values/return', kind)).error).toEqual(INTERNAL);
    expect(log.with(`values/return: ${what}, which cannot be sent as JSON`, 'error')).toHaveLength(1);
    expect(log.with('a secret')).toEqual([]);
  });

  it('is refused when its toJSON gives nothing', async () => {
    const client = await start([ValueTopics]);
    expect((await client.exchange('values/return', 'jsonNothing')).error).toEqual(INTERNAL);
    expect(log.with('values/return: reply cannot be sent: its toJSON gives nothing', 'error')).toHaveLength(1);
  });

  it('may have a toJSON, or be bytes of any kind', async () => {
    const client = await start([ValueTopics]);
    expect(await client.request('values/return', 'date')).toEqual({ at: '1970-01-01T00:00:00.000Z' });
    for (const kind of ['arrayBuffer', 'view']) {
      const { body, encoding } = (await client.exchange('values/return', kind)) as {
        body?: unknown;
        encoding?: unknown;
      };
      expect([kind, body, encoding]).toEqual([kind, 'AQID', 'base64']);
    }
  });
});

it('pushes and session values that JSON cannot carry are refused with their path', async () => {
  const client = await start([ValueTopics], { workers: 1 });
  const body = ['BAD_ARGUMENT', 'values/pushed: body.items[1].tags is a Map, which cannot be sent as JSON'];
  const setting = ['BAD_ARGUMENT', 'settings.kept.items[1].tags is a Map, which cannot be sent as JSON'];
  expect(await client.request('values/push', 'map')).toEqual([body, body, body, setting, setting, setting]);
  expect(client.pushes('values/pushed')).toEqual([]);
  expect(await cluster.api.getSession(client.clientId)).toEqual({});
  expect(await client.request('values/push', 'date')).toEqual(Array(6).fill('fine'));
});

it.each([0, 1])('a method handles all of its topics, with %d workers', async workers => {
  const client = await start([SeveralTopics], { workers });
  for (const topic of ['several/a', 'several/b', 'other/c']) {
    expect(await client.request(topic, topic)).toEqual({ isBuffer: false, body: topic });
  }
});

it('each topic of a method has its own options, and bytes that are no JSON lead to a hint, once', async () => {
  await start([SeveralTopics]);
  const client = await BinaryClient.overWs(cluster.gate.url, { codec: 'frame' });
  const isBuffer = async (topic: string, body: string) =>
    (JSON.parse((await client.request(topic, body)).toString()) as { isBuffer: boolean }).isBuffer;
  expect([await isBuffer('several/a', '1'), await isBuffer('several/b', '1')]).toEqual([false, true]);
  for (let n = 0; n < 3; n++) await expect(client.request('several/a', 'no JSON')).rejects.toThrow('BAD_REQUEST');
  expect(await isBuffer('several/b', 'no JSON')).toBe(true);
  expect(log.with('SeveralTopics.handle got bytes that are no JSON', 'warn')).toHaveLength(1);
  client.destroy();
});

it('the log says why a handler that awaits the next frame of its client has not settled', async () => {
  const client = await start([WaitingTopics], { requestTimeout: 300 });
  const question = client.ask('waiting/question');
  client.send('waiting/answer');
  expect((await client.answer(question)).error?.code).toBe('TIMEOUT');
  await waitUntil('the line', () => log.with('has not settled').length > 0);
  expect(log.with('has not settled')[0]?.text).toBe(
    'The handler of waiting/question has not settled by its deadline; 1 later frames of this client were waiting for it. ' +
      'If it awaits one of them, make it { concurrent: true }',
  );
});

it('handlers without types are named at start', async () => {
  await start([UntypedTopics, SeveralTopics]);
  expect(log.with('UntypedTopics.takes', 'warn')).toHaveLength(1);
  expect(log.with("payload: 'raw'", 'warn')[0]?.text).not.toContain('SeveralTopics');
});
