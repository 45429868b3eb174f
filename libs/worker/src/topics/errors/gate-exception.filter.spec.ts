import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { BadRequestException, Logger } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/internal';
import { RpcException } from '@nestjs/microservices';
import { lastValueFrom, type Observable } from 'rxjs';
import { PresenceContext } from '../../presence/presence-context.js';
import { GateExceptionFilter } from './gate-exception.filter.js';
import { TopicContext } from '../topic-context.js';

const MASKED = { code: 'INTERNAL', message: 'Internal server error' };

describe('GateExceptionFilter', () => {
  let lines: string[];

  beforeEach(() => {
    lines = [];
    jest.spyOn(Logger.prototype, 'error').mockImplementation(text => void lines.push(String(text)));
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  /** What it makes of an exception of a handler with such a context. */
  async function outcome(exception: unknown, context: unknown, globalFilters: unknown[] = []): Promise<unknown> {
    const applicationConfig = { getGlobalFilters: () => globalFilters, getGlobalRequestFilters: () => [] };
    const filter = new GateExceptionFilter({ container: { applicationConfig } } as never, {} as never);
    const host = new ExecutionContextHost([{}, context]);
    host.setType('rpc');
    const answer = await (filter.catch(exception, host) as Observable<unknown> | Promise<Observable<unknown>>);
    return lastValueFrom(answer).catch((error: unknown) => error);
  }

  const topic = new TopicContext('chat/say', true, {} as never);

  it('gives a topic what its client is told, and logs what is masked', async () => {
    expect(await outcome(new BadRequestException('no'), topic)).toEqual({ code: 'BAD_REQUEST', message: 'no' });
    expect(await outcome(new RpcException({ code: 404, message: 'gone' }), topic)).toEqual({
      code: 'NOT_FOUND',
      message: 'gone',
    });
    expect(lines).toEqual([]);
    expect(await outcome(new Error('secret'), topic)).toEqual(MASKED);
    expect(lines).toEqual(['chat/say: Error: secret']);
  });

  it('leaves handlers of other transports what Nest gives them', async () => {
    const other = { getPattern: () => 'orders' };
    const content = { code: 404, message: 'gone', extra: 1 };
    expect(await outcome(new RpcException(content), other)).toBe(content);
    expect(await outcome(new BadRequestException('no'), other)).toEqual({
      status: 'error',
      message: 'Internal server error',
    });
  });

  it('leaves errors of @OnPresence to who calls them', async () => {
    const error = new Error('secret');
    expect(await outcome(error, new PresenceContext())).toBe(error);
    expect(lines).toEqual([]);
  });

  it('names a filter that fails once, however often it does', async () => {
    class OnlyHttp {
      catch(): never {
        throw new TypeError('response.status is not a function');
      }
    }
    for (let n = 0; n < 3; n++) {
      expect(await outcome(new BadRequestException('no'), topic, [new OnlyHttp()])).toMatchObject({
        code: 'BAD_REQUEST',
      });
    }
    expect(lines).toEqual([
      expect.stringMatching(/^chat\/say: the exception filter OnlyHttp has failed.*TypeError: response\.status/),
    ]);
  });
});
