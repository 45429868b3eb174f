import { afterEach, describe, expect, it } from '@jest/globals';
import { type INestApplication, type INestMicroservice, type Provider } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import {
  BothController,
  FilteredController,
  GlobalAllFilter,
  GlobalForbiddenFilter,
  GlobalHttpFilter,
  Heir,
  RouteController,
  RpcFilter,
} from './support/protocol-filters-support.js';
import { codeOf as codeOfAnswer } from '../../support/codes.js';

describe('exception filters around topics', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  async function start(setup?: (app: INestApplication | INestMicroservice) => void, providers: Provider[] = []) {
    const handlers = { controllers: [BothController, FilteredController, RouteController], providers };
    cluster = await createTestCluster({ handlers, setup });
    const client = await cluster.connect();
    const codeOf = (topic: string, kind?: unknown) => codeOfAnswer(client, topic, kind);
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${cluster.gate.port}/${path}`, {
        headers: { connection: 'close' },
      });
      return { status: response.status, body: (await response.json()) as unknown };
    };
    return { client, codeOf, get };
  }

  it('without filters keeps the codes of HttpExceptions and GateErrors, and masks the rest', async () => {
    const { client, codeOf } = await start();
    expect((await client.exchange('both/throw', 'forbidden')).error).toEqual({ code: 'FORBIDDEN', message: 'no' });
    expect((await client.exchange('both/throw', 'conflict')).error).toEqual({ code: 'CONFLICT', message: 'conflict' });
    expect(await codeOf('both/throw', 'gate')).toBe('SESSION_NOT_FOUND');
    expect(await codeOf('both/throw', 'rpc')).toBe('MINE');
    for (const kind of ['server', 'plain']) {
      const { error } = await client.exchange('both/throw', kind);
      expect([kind, error]).toEqual([kind, { code: 'INTERNAL', message: 'Internal server error' }]);
    }
  });

  it('leaves HTTP routes of the same controller as Nest answers them', async () => {
    const { client, get } = await start();
    expect(await get('both/throw/forbidden')).toEqual({
      status: 403,
      body: { message: 'no', error: 'Forbidden', statusCode: 403 },
    });
    expect((await get('both/throw/server')).status).toBe(500);
    expect(await get('both/throw/plain')).toEqual({
      status: 500,
      body: { statusCode: 500, message: 'Internal server error' },
    });
    expect((await get('both/throw/gate')).status).toBe(500);
    expect(await get('both/same')).toEqual({ status: 200, body: { same: true } });
    expect(await client.request('both/same')).toEqual({ same: true });
  });

  it('asks the filter of the method, then that of the class', async () => {
    const { client, codeOf, get } = await start();
    expect(await codeOf('both/method', 'forbidden')).toBe('METHOD');
    expect(await codeOf('both/method', 'bad')).toBe('BAD_REQUEST');
    expect(await client.request('both/recover', 'conflict')).toEqual({ recovered: true });
    expect(await codeOf('filtered/throw', 'forbidden')).toBe('METHOD');
    expect(await codeOf('filtered/throw', 'bad')).toBe('CLASS');
    expect(await codeOf('filtered/throw', 'gate')).toBe('SESSION_NOT_FOUND');
    expect(await codeOf('filtered/throw', 'plain')).toBe('INTERNAL');
    expect(await get('filtered/throw/bad')).toEqual({ status: 418, body: { by: 'CLASS', message: 'bad' } });
  });

  it.each(['useGlobalFilters', 'APP_FILTER'])(
    'lets global filters of %s win over the one of the library',
    async how => {
      const { codeOf, get } = await (how === 'APP_FILTER'
        ? start(undefined, [{ provide: APP_FILTER, useClass: GlobalHttpFilter }])
        : start(app => void app.useGlobalFilters(new GlobalHttpFilter())));
      expect(await codeOf('both/throw', 'forbidden')).toBe('GLOBAL_HTTP');
      expect(await codeOf('both/throw', 'server')).toBe('GLOBAL_HTTP');
      expect(await codeOf('both/valid', {})).toBe('GLOBAL_HTTP');
      expect(await codeOf('both/throw', 'gate')).toBe('SESSION_NOT_FOUND');
      expect(await codeOf('both/throw', 'rpc')).toBe('MINE');
      expect(await codeOf('both/throw', 'plain')).toBe('INTERNAL');
      // Those nearer to the handler still come first.
      expect(await codeOf('both/method', 'forbidden')).toBe('METHOD');
      expect(await codeOf('filtered/throw', 'bad')).toBe('CLASS');
      expect(await get('both/throw/forbidden')).toEqual({ status: 418, body: { by: 'GLOBAL_HTTP', message: 'no' } });
    },
  );

  it('asks several global filters in the order Nest asks them', async () => {
    const filters = [new GlobalAllFilter(), new GlobalHttpFilter(), new GlobalForbiddenFilter()];
    const { codeOf, get } = await start(app => void app.useGlobalFilters(...filters));
    for (const [kind, by] of [
      ['forbidden', 'GLOBAL_FORBIDDEN'],
      ['bad', 'GLOBAL_HTTP'],
      ['gate', 'GLOBAL_ALL'],
      ['plain', 'GLOBAL_ALL'],
      ['rpc', 'GLOBAL_ALL'],
    ] as const) {
      expect([kind, await codeOf('both/throw', kind)]).toEqual([kind, by]);
      expect([kind, (await get(`both/throw/${kind}`)).body]).toMatchObject([kind, { by }]);
    }
  });

  it('leaves RpcExceptions to the filters for them', async () => {
    const { client } = await start(app => void app.useGlobalFilters(new RpcFilter()));
    expect((await client.exchange('both/throw', 'rpc')).error).toEqual({ code: 'RPC', message: 'by the rpc filter' });
    expect((await client.exchange('both/throw', 'forbidden')).error?.code).toBe('FORBIDDEN');
  });

  it('works for controllers that inherit', async () => {
    cluster = await createTestCluster({ handlers: { controllers: [Heir] } });
    const client = await cluster.connect();
    const codeOf = (topic: string, kind: string) => codeOfAnswer(client, topic, kind);
    expect(await codeOf('heir/own', 'bad')).toBe('CLASS');
    expect(await codeOf('heir/own', 'gate')).toBe('SESSION_NOT_FOUND');
    expect(await codeOf('filtered/throw', 'forbidden')).toBe('METHOD');
    expect(await codeOf('filtered/throw', 'gate')).toBe('SESSION_NOT_FOUND');
  });
});
