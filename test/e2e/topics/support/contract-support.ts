import {
  BadRequestException,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { type BodyOf, contract, message, push, type PushesOf, request, stream, type } from '@nestgate/contract';
import { dto } from '@nestgate/contract/dto';
import { ClientSession, GatewayApi, OnTopic, Session } from '@nestgate/worker';
import { type as ark } from 'arktype';
import { IsInt, IsString, Max } from 'class-validator';
import { map, type Observable, of } from 'rxjs';
import * as v from 'valibot';
import { z } from 'zod';

export class OrderDto {
  @IsString()
  dish!: string;

  @IsInt()
  @Max(10)
  count!: number;

  get isLarge(): boolean {
    return this.count > 5;
  }
}

/** The same body in each kind of schema. */
export const shop = contract('shop', {
  zod: request({ body: z.object({ dish: z.string(), count: z.number().int().max(10) }), reply: type<unknown>() }),
  valibot: request({
    body: v.object({ dish: v.string(), count: v.pipe(v.number(), v.integer(), v.maxValue(10)) }),
    reply: type<unknown>(),
  }),
  arktype: request({ body: ark({ dish: 'string', count: 'number.integer <= 10' }), reply: type<unknown>() }),
  dto: request({ body: dto(OrderDto), reply: type<unknown>() }),
});

@Controller()
export class ShopTopics {
  @OnTopic(shop.zod)
  zod(order: BodyOf<typeof shop.zod>, @ClientSession() session: Session): unknown {
    return { ...order, guest: session.isGuest };
  }

  @OnTopic(shop.valibot)
  valibot(order: BodyOf<typeof shop.valibot>): unknown {
    return order;
  }

  @OnTopic(shop.arktype)
  async arktype(@Payload() order: BodyOf<typeof shop.arktype>): Promise<unknown> {
    return order;
  }

  @OnTopic(shop.dto)
  dto({ dish, count, isLarge }: OrderDto): unknown {
    return { dish, count, isLarge };
  }
}

/** What is taken from a body, and from a result. */
export const ways = contract('ways', {
  /** Filled in and transformed. */
  output: request({
    body: z.object({ name: z.string().trim(), size: z.number().default(1) }),
    reply: type<unknown>(),
  }),
  /** Asks for time to answer. */
  later: request({
    body: z.object({ name: z.string().refine(async name => name !== 'taken', 'is taken') }),
    reply: type<unknown>(),
  }),
  strict: request({ body: z.strictObject({ a: z.number() }), reply: type<unknown>() }),
  list: request({ body: z.array(z.object({ id: z.number() })), reply: type<unknown>() }),
  none: request({ reply: type<unknown>() }),
  plain: request({ body: type<{ free: string }>(), reply: type<unknown>() }),
  unread: request({ body: z.object({ a: z.number() }), reply: type<string>() }),
  guarded: request({ body: z.object({ a: z.number() }), reply: type<unknown>() }),
  piped: request({ body: z.object({ a: z.number() }), reply: type<unknown>() }),
  wrapped: request({ body: z.object({ a: z.number() }), reply: type<unknown>() }),
  sent: message({ body: z.object({ a: z.number() }) }),
  /** Replies as the body says. */
  reply: request({ body: z.unknown(), reply: z.object({ ok: z.boolean() }) }),
  streamed: request({ body: z.unknown(), reply: z.object({ ok: z.boolean() }) }),
  slowReply: request({ body: z.unknown(), reply: z.object({ ok: z.boolean().refine(async () => true) }) }),
  items: stream({ body: z.array(z.unknown()), item: z.number() }),
  received: push({ body: z.object({ a: z.number() }) }),
});

@Injectable()
class RefusingGuard implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

/** Refuses what is no object, before the schema has looked at it. */
class ObjectPipe implements PipeTransform {
  transform(value: unknown, { metatype }: { metatype?: unknown }): unknown {
    if (metatype !== Session && typeof value !== 'object') throw new BadRequestException('from the pipe');
    return value;
  }
}

class AddPipe implements PipeTransform<{ a: number }> {
  transform({ a }: { a: number }): { a: number } {
    return { a: a + 1 };
  }
}

@Injectable()
class Wrap implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    return next.handle().pipe(map(value => ({ wrapped: value })));
  }
}

@Controller()
export class WaysTopics {
  /** What clients have sent without waiting for a reply. */
  readonly sentBodies: unknown[] = [];

  constructor(readonly gateway: GatewayApi<PushesOf<typeof ways>>) {}

  @OnTopic(ways.output)
  output(body: BodyOf<typeof ways.output>): unknown {
    return body;
  }

  @OnTopic(ways.later)
  later({ name }: BodyOf<typeof ways.later>): unknown {
    return { name };
  }

  @OnTopic(ways.strict)
  strict(body: BodyOf<typeof ways.strict>): unknown {
    return body;
  }

  @OnTopic(ways.list)
  list(body: BodyOf<typeof ways.list>): unknown {
    return body;
  }

  @OnTopic(ways.none)
  @OnTopic(ways.plain)
  free(body: unknown): unknown {
    return { body };
  }

  @OnTopic(ways.unread)
  unread(): string {
    return 'never looked';
  }

  @OnTopic(ways.guarded)
  @UseGuards(RefusingGuard)
  guarded(body: BodyOf<typeof ways.guarded>): unknown {
    return body;
  }

  @OnTopic(ways.piped)
  @UsePipes(ObjectPipe)
  piped(@Payload(AddPipe) body: BodyOf<typeof ways.piped>, @ClientSession() session: Session): unknown {
    return { ...body, guest: session.isGuest };
  }

  @OnTopic(ways.wrapped)
  @UseInterceptors(Wrap)
  wrapped(body: BodyOf<typeof ways.wrapped>): unknown {
    return body;
  }

  @OnTopic(ways.sent)
  sent(body: BodyOf<typeof ways.sent>): void {
    this.sentBodies.push(body);
  }

  @OnTopic(ways.reply)
  async reply(body: unknown): Promise<{ ok: boolean }> {
    return body as { ok: boolean };
  }

  @OnTopic(ways.streamed)
  streamed(body: unknown): Observable<{ ok: boolean }> {
    return of({ ok: 'only the last one counts' } as never, body as { ok: boolean });
  }

  @OnTopic(ways.slowReply)
  slowReply(body: unknown): { ok: boolean } {
    return body as { ok: boolean };
  }

  @OnTopic(ways.items)
  items(body: unknown[]): Observable<number> {
    return of(...(body as number[]));
  }
}
