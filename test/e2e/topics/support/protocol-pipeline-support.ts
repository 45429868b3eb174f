import {
  type CallHandler,
  type CanActivate,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  ForbiddenException,
  Inject,
  Injectable,
  type NestInterceptor,
  ParseIntPipe,
  type PipeTransform,
  Scope,
  SetMetadata,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { REQUEST, Reflector } from '@nestjs/core';
import { Ctx, Payload } from '@nestjs/microservices';
import { ClientSession, OnTopic, Session, TopicContext } from '@nestgate/worker';
import { Type } from 'class-transformer';
import { IsInt, IsString, Min } from 'class-validator';
import { map, type Observable, of } from 'rxjs';

/** Lets nobody in whose body asks to be refused. */
@Injectable()
export class BodyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (context.getType() !== 'rpc') return true;
    const body: unknown = context.switchToRpc().getData();
    if (body === 'unauthorized') throw new UnauthorizedException('Who are you?');
    if (body === 'forbidden') throw new ForbiddenException('Not you');
    return body !== 'refused';
  }
}

/** Lets in who is bound to a uid, unless the handler or its class is public. */
@Injectable()
export class BoundGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    if (context.getType() !== 'rpc') return true;
    if (this.reflector.getAllAndOverride<boolean>('public', [context.getHandler(), context.getClass()])) return true;
    return !context.switchToRpc().getContext<TopicContext>().session.isGuest;
  }
}

/** Puts the result under a name. */
export class Under implements NestInterceptor {
  constructor(private readonly name: string) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'rpc') return next.handle();
    const { topic, wantsReply } = context.switchToRpc().getContext<TopicContext>();
    return next.handle().pipe(map((value: unknown) => ({ [this.name]: value, topic, wantsReply })));
  }
}

@Injectable()
class DoublePipe implements PipeTransform {
  transform(value: unknown): unknown {
    return typeof value === 'number' ? value * 2 : value;
  }
}

class OrderDto {
  @IsString()
  item!: string;

  @IsInt()
  @Min(1)
  @Type(() => Number)
  count!: number;
}

const Topic = createParamDecorator((_data: unknown, context: ExecutionContext) => {
  return context.switchToRpc().getContext<TopicContext>().topic;
});

@Controller()
export class PipelineTopics {
  @UseGuards(BodyGuard)
  @OnTopic('pipe/guarded')
  guarded(@Payload() body: unknown): unknown {
    return body;
  }

  @OnTopic('pipe/open')
  open(@Payload() body: unknown): unknown {
    return body;
  }

  @OnTopic('pipe/order')
  order(@Payload() order: OrderDto): unknown {
    const { item, count } = order;
    return { item, count, isDto: order instanceof OrderDto, type: typeof count };
  }

  @OnTopic('pipe/field')
  field(@Payload('count', ParseIntPipe) count: number, @Topic() topic: string): unknown {
    return { count, topic };
  }

  @UsePipes(DoublePipe)
  @OnTopic('pipe/double')
  double(@Payload(DoublePipe) value: unknown, @ClientSession() session: Session, @Ctx() context: TopicContext) {
    return { value, same: session === context.session, isSession: session instanceof Session };
  }

  @UseInterceptors(new Under('inner'))
  @OnTopic('pipe/mapped')
  mapped(@Payload() body: unknown): Observable<unknown> {
    return of('first', body);
  }

  @UseInterceptors(new Under('inner'))
  @OnTopic('pipe/fails')
  fails(): never {
    throw new ForbiddenException('inside');
  }
}

@UseGuards(BodyGuard)
@SetMetadata('public', true)
@Controller()
export class GuardedTopics {
  @OnTopic('guarded/one')
  one(@Payload() body: unknown): unknown {
    return body;
  }
}

@Injectable({ scope: Scope.REQUEST })
export class PerRequest {
  private static count = 0;
  readonly number = ++PerRequest.count;
}

@Controller({ scope: Scope.REQUEST })
export class RequestTopics {
  private calls = 0;

  constructor(
    private readonly perRequest: PerRequest,
    @Inject(REQUEST) private readonly request: { data: unknown; context: TopicContext },
  ) {}

  @UseGuards(BodyGuard)
  @OnTopic('request/scoped')
  scoped(@Payload() body: unknown, @ClientSession() session: Session): unknown {
    if (body === 'throws') throw new ForbiddenException('from inside');
    const { data, context } = this.request;
    return {
      calls: ++this.calls,
      number: this.perRequest.number,
      data,
      topic: context.topic,
      isMine: context.session === session,
    };
  }
}
