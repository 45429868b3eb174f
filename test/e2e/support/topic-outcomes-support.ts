import {
  type ArgumentsHost,
  BadRequestException,
  Catch,
  Controller,
  type ExceptionFilter,
  ForbiddenException,
  Injectable,
  Scope,
  StreamableFile,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core';
import { Payload, RpcException } from '@nestjs/microservices';
import { WsException } from '@nestjs/websockets';
import { ClientSession, GatewayApi, GateError, OnTopic, type Session } from '@nestgate/worker';
import { throwError } from 'rxjs';

interface HttpReply {
  status(code: number): { json(body: unknown): void };
}

/** As in countless applications. */
@Catch()
export class HttpOnlyFilter implements ExceptionFilter {
  catch(exception: Error, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<HttpReply>().status(500).json({ message: exception.message });
  }
}

@Catch()
export class AsyncHttpFilter implements ExceptionFilter {
  async catch(exception: Error, host: ArgumentsHost): Promise<void> {
    await Promise.resolve();
    host.switchToHttp().getResponse<HttpReply>().status(500).json({ message: exception.message });
  }
}

/** As in the documentation of Nest. */
@Catch()
@Injectable()
export class AdapterFilter implements ExceptionFilter {
  constructor(private readonly adapterHost: HttpAdapterHost) {}

  catch(exception: Error, host: ArgumentsHost): void {
    const { httpAdapter } = this.adapterHost;
    httpAdapter.reply(host.switchToHttp().getResponse(), { message: exception.message }, 500);
  }
}

/** The other one of the documentation of Nest. */
@Catch()
export class SuperFilter extends BaseExceptionFilter {}

/** A notification without effect on the result. */
@Catch()
export class SilentFilter implements ExceptionFilter {
  catch(): void {}
}

@Catch()
export class RethrowingFilter implements ExceptionFilter {
  catch(exception: unknown): never {
    throw exception;
  }
}

@Catch(RangeError)
@Injectable({ scope: Scope.REQUEST })
export class ScopedFilter implements ExceptionFilter {
  catch({ message }: RangeError): unknown {
    return throwError(() => ({ code: 'OUT_OF_RANGE', message }));
  }
}

function failure(kind: string): unknown {
  switch (kind) {
    case 'forbidden':
      return new ForbiddenException('not you');
    case 'own':
      return new BadRequestException({ errorCode: 'SOLD_OUT', message: 'gone', errors: [{ path: ['dish'] }] });
    case 'gate':
      return new GateError('SESSION_NOT_FOUND');
    case 'rpc':
      return new RpcException({ code: 404, message: 'no such dish' });
    case 'ws':
      return new WsException({ statusCode: 409, message: 'taken' });
    case 'range':
      return new RangeError('too many');
    default:
      return new Error('a secret');
  }
}

@Controller()
export class FailingTopics {
  @OnTopic('failing/throw')
  throw(@Payload() kind: string): never {
    throw failure(kind);
  }
}

/** Throws an error of its own instead, some of which have a code. */
@Catch()
export class FailingFilter implements ExceptionFilter {
  catch(exception: Error): unknown {
    if (exception.message === 'later') return Promise.reject(new TypeError('the filter'));
    if (exception.message === 'coded') throw new RpcException({ code: 'MINE', message: 'mine' });
    if (exception.message === 'same') throw exception;
    throw new TypeError('the filter');
  }
}

/** A filter of a method, and of a pipeline that has not come to the method. */
@Controller()
export class FailingFilterTopics {
  @UseFilters(FailingFilter)
  @OnTopic('filter/method')
  method(@Payload() message: string): never {
    throw new Error(message);
  }

  @UseFilters(FailingFilter)
  @OnTopic('filter/stream')
  stream(@Payload() message: string): unknown {
    return throwError(() => new Error(message));
  }

  @UseFilters(FailingFilter)
  @UseGuards({ canActivate: () => false })
  @OnTopic('filter/guard')
  guarded(): void {}
}

@Catch()
class DetailFilter implements ExceptionFilter {
  catch({ message }: Error): unknown {
    return throwError(() => ({ code: 'SOLD_OUT', message: 'gone', details: { dishes: [VALUES[message]?.()] } }));
  }
}

/** Errors whose details JSON cannot carry. */
@Controller()
export class DetailTopics {
  @OnTopic('details/rpc')
  rpc(@Payload() kind: string): never {
    throw new RpcException({ code: 'SOLD_OUT', message: 'gone', details: { dishes: [VALUES[kind]?.()] } });
  }

  @OnTopic('details/http')
  http(@Payload() kind: string): never {
    throw new BadRequestException({ code: 'SOLD_OUT', message: 'gone', details: { dishes: [VALUES[kind]?.()] } });
  }

  @UseFilters(DetailFilter)
  @OnTopic('details/filter')
  filtered(@Payload() kind: string): never {
    throw new Error(kind);
  }
}

/** Has a pipeline, and a filter of its own that fails. */
@Controller()
@UseFilters(HttpOnlyFilter)
export class OwnFilterTopics {
  @OnTopic('own/throw')
  throw(@Payload() kind: string): never {
    throw failure(kind);
  }
}

class Money {
  toJSON(): unknown {
    return { cents: 5n };
  }
}

class Moody {
  toJSON(): never {
    throw new Error('not today');
  }
}

const VALUES: Record<string, () => unknown> = {
  map: () => ({ items: [1, { tags: new Map() }] }),
  set: () => new Set([1]),
  promise: () => ({ later: Promise.resolve(1) }),
  error: () => ({ error: new Error('a secret') }),
  nan: () => ({ price: Number.NaN }),
  function: () => ({ run: () => 1 }),
  generator: () =>
    (function* () {
      yield 1;
    })(),
  bigint: () => ({ price: 5n }),
  cycle: () => {
    const dish: Record<string, unknown> = { name: 'soup' };
    return Object.assign(dish, { menu: { dish } });
  },
  jsonBigint: () => new Money(),
  jsonThrows: () => ({ dish: new Moody() }),
  jsonNothing: () => ({ toJSON: () => undefined }),
  file: () => new StreamableFile(Buffer.from('a secret')),
  date: () => ({ at: new Date(0) }),
  arrayBuffer: () => new Uint8Array([1, 2, 3]).buffer,
  view: () => new DataView(new Uint8Array([0, 1, 2, 3]).buffer, 1),
};

@Controller()
export class ValueTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('values/return')
  return(@Payload() kind: string): unknown {
    return VALUES[kind]?.();
  }

  @OnTopic('values/push')
  async push(@Payload() kind: string, @ClientSession() session: Session) {
    const pushes = [
      () => this.gateway.sendToClient(session.clientId, 'values/pushed', VALUES[kind]?.()),
      () => this.gateway.sendToAll('values/pushed', VALUES[kind]?.()),
      () => session.toSend('values/pushed', VALUES[kind]?.()),
      () => session.toSet('kept', VALUES[kind]?.() as never),
      () => session.toSetBatch({ kept: VALUES[kind]?.() as never }),
      () => this.gateway.updateSession(session.clientId, { kept: VALUES[kind]?.() as never }),
    ];
    const answers: unknown[] = [];
    for (const push of pushes) {
      answers.push(
        await push().then(
          () => 'fine',
          (error: unknown) => (error instanceof GateError ? [error.code, error.message] : error),
        ),
      );
    }
    return answers;
  }
}

@Controller()
export class SeveralTopics {
  @OnTopic('several/a')
  @OnTopic('several/b', { payload: 'raw' })
  @OnTopic('other/c')
  handle(@Payload() body: unknown): unknown {
    return { isBuffer: Buffer.isBuffer(body), body };
  }
}

/** Waits for a frame of the same client, which waits for it. */
@Controller()
export class WaitingTopics {
  private release = (): void => undefined;

  @OnTopic('waiting/question')
  question(): Promise<void> {
    return new Promise(resolve => (this.release = resolve));
  }

  @OnTopic('waiting/answer')
  answer(): void {
    this.release();
  }
}

/** As tsx and esbuild leave a class: decorators, and no types. */
export class UntypedTopics {
  takes(body: unknown): unknown {
    return body;
  }
}
OnTopic('untyped/takes')(
  UntypedTopics.prototype,
  'takes',
  Object.getOwnPropertyDescriptor(UntypedTopics.prototype, 'takes') as PropertyDescriptor,
);
Controller()(UntypedTopics);
