import { describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  ForbiddenException,
  HttpException,
  InternalServerErrorException,
  NotFoundException,
  ServiceUnavailableException,
  UnauthorizedException,
} from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { GateError } from '@nestgate/protocol';
import { clientErrorBody, gateErrorBody, httpErrorBody, pipelineErrorBody, thrownErrorBody } from './error-mapping.js';

const INTERNAL = { code: 'INTERNAL', message: 'Internal server error' };

describe('httpErrorBody', () => {
  it.each([
    [new BadRequestException('no'), 'BAD_REQUEST', 'no'],
    [new UnauthorizedException(), 'UNAUTHORIZED', 'Unauthorized'],
    [new ForbiddenException('not you'), 'FORBIDDEN', 'not you'],
    [new NotFoundException('no such room'), 'NOT_FOUND', 'no such room'],
    [new HttpException('slow', 408), 'TIMEOUT', 'slow'],
    [new HttpException('taken', 409), 'CONFLICT', 'taken'],
    [new HttpException('big', 413), 'PAYLOAD_TOO_LARGE', 'big'],
    [new HttpException('odd', 422), 'BAD_REQUEST', 'odd'],
    [new HttpException('fast', 429), 'RATE_LIMITED', 'fast'],
    [new HttpException('unheard of', 499), 'BAD_REQUEST', 'unheard of'],
    [new HttpException({ message: 'text', secret: 1 }, 403), 'FORBIDDEN', 'text'],
  ])('of %s has the code %s', (exception, code, message) => {
    expect(httpErrorBody(exception)).toEqual({ code, message });
  });

  it.each([
    new InternalServerErrorException('secret'),
    new ServiceUnavailableException('secret'),
    new HttpException('x', 599),
  ])('masks %s', exception => {
    expect(httpErrorBody(exception)).toEqual(INTERNAL);
  });

  it("makes a validator's messages the details", () => {
    const messages = ['name must be a string', 'age must be positive'];
    expect(httpErrorBody(new BadRequestException(messages))).toEqual({
      code: 'BAD_REQUEST',
      message: 'The request is not valid',
      details: messages,
    });
    expect(httpErrorBody(new HttpException({ message: ['taken'] }, 409))).toMatchObject({
      code: 'CONFLICT',
      details: ['taken'],
    });
  });
});

describe('the body of an HTTP exception', () => {
  it.each<[string, HttpException, unknown]>([
    [
      'its own code and details',
      new HttpException({ code: 'SOLD_OUT', message: 'gone', details: { left: 0 } }, 409),
      { code: 'SOLD_OUT', message: 'gone', details: { left: 0 } },
    ],
    [
      'errorCode',
      new BadRequestException({ errorCode: 'BAD_DISH', message: 'no such dish' }),
      { code: 'BAD_DISH', message: 'no such dish' },
    ],
    ['a number of its own', new HttpException({ code: 1042, message: 'odd' }, 400), { code: '1042', message: 'odd' }],
    [
      'its status as code',
      new HttpException({ code: 404, message: 'gone' }, 404),
      { code: 'NOT_FOUND', message: 'gone' },
    ],
    [
      "a schema library's errors",
      new BadRequestException({ statusCode: 400, message: 'Validation failed', errors: [{ path: ['name'] }] }),
      { code: 'BAD_REQUEST', message: 'Validation failed', details: [{ path: ['name'] }] },
    ],
    [
      'a code that nobody may use',
      new HttpException({ code: '$mine', message: 'm' }, 403),
      { code: 'FORBIDDEN', message: 'm' },
    ],
    ['a server error', new HttpException({ code: 'DB_DOWN', message: 'secret' }, 503), INTERNAL],
  ])('with %s', (_what, exception, body) => {
    expect(httpErrorBody(exception)).toEqual(body);
  });
});

describe('an RpcException or WsException', () => {
  class WsException extends Error {
    constructor(private readonly content: unknown) {
      super('a WsException');
    }

    getError(): unknown {
      return this.content;
    }
  }

  it.each<[unknown, unknown]>([
    [
      { code: 404, message: 'no room' },
      { code: 'NOT_FOUND', message: 'no room' },
    ],
    [
      { statusCode: 403, message: 'not you' },
      { code: 'FORBIDDEN', message: 'not you' },
    ],
    [{ status: 429 }, { code: 'RATE_LIMITED', message: 'Too many messages' }],
    [
      { code: 7, message: 'seven' },
      { code: '7', message: 'seven' },
    ],
    [
      { errorCode: 'SOLD_OUT', statusCode: 409, message: 'gone' },
      { code: 'SOLD_OUT', message: 'gone' },
    ],
    [
      { code: 'BAD', message: 'm', errors: ['e'] },
      { code: 'BAD', message: 'm', details: ['e'] },
    ],
    [
      { statusCode: 422, message: ['a', 'b'] },
      { code: 'BAD_REQUEST', message: 'The request is not valid', details: ['a', 'b'] },
    ],
    [{ code: 500, message: 'secret' }, INTERNAL],
    [{ secret: 1 }, INTERNAL],
    ['sorry', { code: 'INTERNAL', message: 'sorry' }],
  ])('with %j', (content, body) => {
    expect(thrownErrorBody(new RpcException(content as object))).toEqual(body);
    expect(thrownErrorBody(new WsException(content))).toEqual(body);
  });

  it('is masked when it is another error, whatever code that has', () => {
    expect(thrownErrorBody(Object.assign(new TypeError('secret'), { code: 'ERR_INVALID_ARG_TYPE' }))).toEqual(INTERNAL);
  });
});

describe('gateErrorBody', () => {
  it.each([
    ['SESSION_NOT_FOUND', 'SESSION_NOT_FOUND'],
    ['STORAGE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'],
    ['PARTIAL_RESULT', 'PARTIAL_RESULT'],
    ['TIMEOUT', 'TIMEOUT'],
    ['BAD_ARGUMENT', 'BAD_REQUEST'],
    ['LIMIT_EXCEEDED', 'BAD_REQUEST'],
    ['ROOM_FULL', 'ROOM_FULL'],
    ['constructor', 'constructor'],
    ['__proto__', '__proto__'],
  ])('of %s has the code %s, and no details', (code, told) => {
    expect(gateErrorBody(new GateError(code, 'text', { node: 'g1' }))).toEqual({ code: told, message: 'text' });
  });

  it.each(['INTERNAL', 'LINK_UNAVAILABLE', 'LINK_CLOSED', 'LINK_CORRUPT', 'NODE_LOST', 'UNKNOWN_OPERATION'])(
    'masks %s',
    code => {
      expect(gateErrorBody(new GateError(code, 'secret'))).toEqual(INTERNAL);
    },
  );
});

describe('pipelineErrorBody', () => {
  it.each<[string, unknown, unknown]>([
    ['code and message', { code: 'ROOM_FULL', message: 'full' }, { code: 'ROOM_FULL', message: 'full' }],
    ['details', { code: 'X', message: 'm', details: [1] }, { code: 'X', message: 'm', details: [1] }],
    ['falsy details', { code: 'X', message: 'm', details: null }, { code: 'X', message: 'm', details: null }],
    ['nothing but its code', { code: 'X', secret: 1 }, { code: 'X', message: 'X' }],
    ['a message that is no text', { code: 'X', message: 5 }, { code: 'X', message: 'X' }],
    ['the longest code', { code: 'X'.repeat(64) }, { code: 'X'.repeat(64), message: 'X'.repeat(64) }],
    ['the text of an RpcException', { status: 'error', message: 'sorry' }, { code: 'INTERNAL', message: 'sorry' }],
  ])('keeps %s', (_what, error, body) => {
    expect(pipelineErrorBody(error)).toEqual(body);
  });

  it('keeps what an RpcException says', () => {
    const exception = new RpcException({ code: 'ROOM_FULL', message: 'full' });
    expect(pipelineErrorBody(exception.getError())).toEqual({ code: 'ROOM_FULL', message: 'full' });
  });

  it("names a guard's refusal", () => {
    expect(pipelineErrorBody({ status: 'error', message: 'Forbidden resource' })).toEqual({
      code: 'FORBIDDEN',
      message: 'Not allowed',
    });
  });

  it.each([
    [undefined],
    [null],
    ['text'],
    [new Error('secret')],
    [new TypeError('secret')],
    [{ message: 'secret' }],
    [{ code: Number.NaN, message: 'secret' }],
    [{ code: 500, message: 'secret' }],
    [{ statusCode: 503, message: 'secret' }],
    [{ code: '', message: 'secret' }],
    [{ code: '$malformed-body', message: 'secret' }],
    [{ code: 'X'.repeat(65), message: 'secret' }],
    [{ status: 'error', message: { secret: 1 } }],
    [{ status: 500, message: 'secret' }],
  ])('masks %p', error => {
    expect(pipelineErrorBody(error)).toEqual(INTERNAL);
  });
});

describe('clientErrorBody', () => {
  it.each<[unknown, unknown]>([
    [new GateError('BAD_ARGUMENT', 'no'), { code: 'BAD_REQUEST', message: 'no' }],
    [new ForbiddenException('not you'), { code: 'FORBIDDEN', message: 'not you' }],
    [new RpcException({ code: 'ROOM_FULL', message: 'full' }), { code: 'ROOM_FULL', message: 'full' }],
    [new Error('secret'), INTERNAL],
    [{ code: 'X', message: 'secret' }, INTERNAL],
    [undefined, INTERNAL],
  ])('discloses about %s only what is allowed', (error, body) => {
    expect(clientErrorBody(error)).toEqual(body);
  });
});
