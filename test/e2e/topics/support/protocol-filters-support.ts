import {
  type ArgumentsHost,
  BadRequestException,
  Catch,
  ConflictException,
  Controller,
  type ExceptionFilter,
  ForbiddenException,
  Get,
  HttpException,
  InternalServerErrorException,
  Param,
  UseFilters,
  UsePipes,
  ValidationPipe,
} from '@nestjs/common';
import { Payload, RpcException } from '@nestjs/microservices';
import { GateError, OnTopic } from '@nestgate/worker';
import { IsString } from 'class-validator';
import { of, throwError } from 'rxjs';

interface HttpReply {
  status(code: number): { json(body: unknown): void };
}

/** Says which filter it is, on HTTP and on topics. */
abstract class Saying implements ExceptionFilter {
  protected abstract readonly name: string;

  catch(exception: unknown, host: ArgumentsHost): unknown {
    const message = exception instanceof Error ? exception.message : String(exception);
    if (host.getType() === 'rpc') return throwError(() => ({ code: this.name, message }));
    host.switchToHttp().getResponse<HttpReply>().status(418).json({ by: this.name, message });
    return undefined;
  }
}

@Catch(HttpException)
export class GlobalHttpFilter extends Saying {
  protected readonly name = 'GLOBAL_HTTP';
}

@Catch(ForbiddenException)
export class GlobalForbiddenFilter extends Saying {
  protected readonly name = 'GLOBAL_FORBIDDEN';
}

@Catch()
export class GlobalAllFilter extends Saying {
  protected readonly name = 'GLOBAL_ALL';
}

@Catch(HttpException)
class ClassFilter extends Saying {
  protected readonly name = 'CLASS';
}

@Catch(ForbiddenException)
class MethodFilter extends Saying {
  protected readonly name = 'METHOD';
}

@Catch(ConflictException)
class RecoveringFilter implements ExceptionFilter {
  catch(): unknown {
    return of({ recovered: true });
  }
}

@Catch(RpcException)
export class RpcFilter implements ExceptionFilter {
  catch(): unknown {
    return throwError(() => ({ code: 'RPC', message: 'by the rpc filter' }));
  }
}

function thrower(kind: unknown): never {
  switch (kind) {
    case 'forbidden':
      throw new ForbiddenException('no');
    case 'bad':
      throw new BadRequestException('bad');
    case 'conflict':
      throw new ConflictException('conflict');
    case 'server':
      throw new InternalServerErrorException('secret');
    case 'gate':
      throw new GateError('SESSION_NOT_FOUND');
    case 'rpc':
      throw new RpcException({ code: 'MINE', message: 'mine' });
    default:
      throw new Error('secret');
  }
}

class NameDto {
  @IsString()
  name!: string;
}

/** Serves routes and topics, as controllers may. */
@Controller('both')
export class BothController {
  @Get('throw/:kind')
  route(@Param('kind') kind: string): never {
    return thrower(kind);
  }

  @OnTopic('both/throw')
  topic(@Payload() kind: unknown): never {
    return thrower(kind);
  }

  @UseFilters(MethodFilter)
  @OnTopic('both/method')
  method(@Payload() kind: unknown): never {
    return thrower(kind);
  }

  @UseFilters(RecoveringFilter)
  @OnTopic('both/recover')
  recover(@Payload() kind: unknown): never {
    return thrower(kind);
  }

  /** The same method on both. */
  @Get('same')
  @OnTopic('both/same')
  same(): { same: true } {
    return { same: true };
  }

  @UsePipes(new ValidationPipe())
  @OnTopic('both/valid')
  valid(@Payload() body: NameDto): NameDto {
    return body;
  }
}

/** Serves a route only. */
@Controller('route')
export class RouteController {
  @Get('throw/:kind')
  route(@Param('kind') kind: string): never {
    return thrower(kind);
  }
}

@UseFilters(ClassFilter)
@Controller('filtered')
export class FilteredController {
  @Get('throw/:kind')
  route(@Param('kind') kind: string): never {
    return thrower(kind);
  }

  @UseFilters(MethodFilter)
  @OnTopic('filtered/throw')
  topic(@Payload() kind: unknown): never {
    return thrower(kind);
  }
}

/** Inherits its topics, and has a filter of its own. */
@UseFilters(ClassFilter)
@Controller()
export class Heir extends FilteredController {
  @OnTopic('heir/own')
  own(@Payload() kind: unknown): never {
    return thrower(kind);
  }
}
