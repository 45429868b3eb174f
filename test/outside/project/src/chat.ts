import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  Param,
  UseFilters,
  UseGuards,
  UseInterceptors,
  ValidationPipe,
} from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import {
  ClientSession,
  type ConnectEvent,
  GatewayApi,
  GateError,
  OnConnect,
  OnPresence,
  OnTopic,
  type PresenceEvent,
  Session,
  type TopicContext,
} from '@nestgate/worker';
import { IsString, MaxLength } from 'class-validator';
import { map, type Observable, throwError } from 'rxjs';

export class Said {
  @IsString()
  room!: string;

  @IsString()
  @MaxLength(20)
  text!: string;
}

@Injectable()
export class MembersOnly implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return !context.switchToRpc().getContext<TopicContext>().session.isGuest;
  }
}

@Injectable()
export class Stamp implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<object>): Observable<object> {
    const { topic } = context.switchToRpc().getContext<TopicContext>();
    return next.handle().pipe(map(result => ({ ...result, topic })));
  }
}

@Catch(RangeError)
export class RangeFilter implements ExceptionFilter {
  catch({ message }: RangeError, _host: ArgumentsHost): Observable<never> {
    return throwError(() => ({ code: 'ROOM_FULL', message }));
  }
}

/** Who is there, as presence tells it. */
@Injectable()
export class Roll {
  readonly online = new Set<string>();
}

@Controller()
@UseFilters(RangeFilter)
export class ChatTopics {
  constructor(
    private readonly gateway: GatewayApi,
    private readonly roll: Roll,
  ) {}

  @OnConnect()
  async arrived(@Payload() { query }: ConnectEvent, @ClientSession() session: Session): Promise<void> {
    if (query['token'] === 'forged') throw new GateError('UNAUTHORIZED', 'The token is forged');
    if (query['token']) await session.toBind(query['token']);
  }

  @OnPresence('online', 'offline')
  seen(@Payload() { type, userId }: PresenceEvent): void {
    if (type === 'online') this.roll.online.add(userId);
    else this.roll.online.delete(userId);
  }

  @OnTopic('chat/join')
  @UseGuards(MembersOnly)
  @UseInterceptors(Stamp)
  async join(@Payload('room') room: string, @ClientSession() session: Session) {
    if (room === 'full') throw new RangeError('No seat is left');
    await this.gateway.joinGroup(session.clientId, room);
    return { members: await this.gateway.getClientCountByGroup(room) };
  }

  @OnTopic('chat/say')
  async say(
    @Payload(new ValidationPipe({ whitelist: true, transform: true })) said: Said,
    @ClientSession() session: Session,
  ) {
    await this.gateway.sendToGroup(said.room, 'chat/said', {
      from: session.userId,
      text: said.text,
      isDto: said instanceof Said,
    });
    return { ok: true };
  }

  @OnTopic('chat/online')
  online() {
    return [...this.roll.online].sort();
  }
}

@Controller('rooms')
export class RoomsController {
  constructor(private readonly gateway: GatewayApi) {}

  @Get(':room')
  async members(@Param('room') room: string) {
    return { members: await this.gateway.getClientCountByGroup(room) };
  }
}
