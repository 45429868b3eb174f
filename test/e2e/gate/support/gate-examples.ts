/** The examples of `docs/gate.md`: what stands between the markers stands there too, and `gate-examples.e2e-spec.ts` runs it. */
import { Controller, Get, HttpCode, Inject, Injectable, Module, Param, Post, type Provider } from '@nestjs/common';
import { ServiceUnavailableException, UnauthorizedException } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { AgentLearner, type ClientAgent, Delegater, type DisconnectReason, Gate, GateModule } from '@nestgate/gate';
import { HandshakeHandler, HandshakeRequest, type IncomingPack, MemoryStorage, RecvPackHandler } from '@nestgate/gate';
import { RouteHandler, SendMessageHook, SessionLearner, type SettingsChange, StorageHandler } from '@nestgate/gate';
import { RedisStorage } from '@nestgate/gate/redis';
import { ClientSession, GatewayApi, GateError, type JsonValue, OnTopic, Session } from '@nestgate/worker';
import type { SessionSnapshot, Settings } from '@nestgate/worker';
import { type TappedBody, TapRedactor, WorkerChoice, type WorkerQuestion } from '@nestgate/gate';
import type { WebSocket } from 'ws';

// example: Gate
@Controller()
export class HealthController {
  constructor(private readonly gate: Gate) {}

  @Get('ready')
  ready() {
    if (!this.gate.isReady) throw new ServiceUnavailableException();
    const { delegater, options } = this.gate;
    return { clients: delegater.getAgentNum(), of: options.maxConnections };
  }
}
// end

// example: Delegater
@Controller('clients')
export class ModerationController {
  constructor(private readonly delegater: Delegater) {}

  @Get()
  list() {
    return Array.from(this.delegater.sessions(), agent => agent.session.sessionId);
  }

  @Post(':id/mute')
  @HttpCode(200)
  async mute(@Param('id') id: string) {
    const session = await this.delegater.set(id, 'muted', true);
    await this.delegater.send(id, 'chat/muted', { by: 'a moderator' });
    return session; // as JSON: all but its userData
  }
}
// end

// example: ClientAgent
@Injectable()
export class IdleClients {
  constructor(@Inject(Delegater) private readonly delegater: Delegater) {}

  close(afterMs: number) {
    for (const agent of this.delegater.sessions()) {
      const age = Date.now() - agent.connTime;
      if (agent.isShaked && agent.recvNum === 0 && age >= afterMs) agent.close(4100, 'nothing to say?');
    }
  }
}
// end

// example: AgentLearner
@Injectable()
export class ConnectionLog extends AgentLearner {
  readonly lines: string[] = [];

  connect(agent: ClientAgent) {
    agent.sendPack('server/motd', 'Be kind.');
  }

  disconnect(agent: ClientAgent) {
    const { connection, connTime, recvNum, sendNum, error } = agent;
    this.lines.push(`${connection.ip}: ${recvNum} in, ${sendNum} out, ${Date.now() - connTime} ms, ${error?.code}`);
  }
}
// end

// example: Session
@Controller()
export class CartTopics {
  @OnTopic('cart/add')
  async add(@Payload() item: string, @ClientSession() session: Session) {
    const items = [...(session.get<string[]>('cart') ?? []), item];
    await session.toSet('cart', items);
    await session.toSend('cart/changed', { count: items.length });
    return items;
  }

  @OnTopic('cart/login')
  async login(@Payload() user: string, @ClientSession() session: Session) {
    session.importSettings({ currency: 'EUR', cart: [] }); // keys that are there keep their value
    session.set('since', session.connectedAt);
    await session.toPush();
    await session.toBind(user);
    return { user: session.userId, number: String(session.userIdUint), settings: session.cloneSettings() };
  }
}
// end

// example: SessionLearner
@Injectable()
export class Presence extends SessionLearner {
  constructor(private readonly gateway: GatewayApi) {
    super();
  }

  async onConnect(session: Session) {
    await this.gateway.joinGroup(session.clientId, 'lobby');
  }

  async onDisconnect({ userId }: Session, { code, groups }: DisconnectReason) {
    await this.gateway.sendToGroup(groups, 'lobby/left', { userId, code });
  }
}
// end

// example: StorageHandler
@Injectable()
export class UserTable extends StorageHandler {
  private readonly users = new Map<string, Settings>();

  async query(userId: string) {
    return this.users.get(userId);
  }

  async storage({ userId }: SessionSnapshot, { set, deleted }: SettingsChange) {
    const row = new Map<string, JsonValue>(deleted === 'all' ? [] : Object.entries(this.users.get(userId) ?? {}));
    if (deleted !== 'all') for (const key of deleted) row.delete(key);
    for (const [key, value] of Object.entries(set)) row.set(key, value);
    this.users.set(userId, Object.fromEntries(row));
  }

  async delete(userId: string) {
    this.users.delete(userId);
  }

  async heartbeat(_online: readonly SessionSnapshot[]) {
    // Nothing expires here.
  }
}
// end

// example: RouteHandler
@Injectable()
export class MuteRoute extends RouteHandler {
  onRoute(session: Session, topic: string, body: unknown) {
    if (topic === 'chat/say' && session.get<boolean>('muted')) throw new GateError('FORBIDDEN', 'You are muted');
    return body === ''; // nothing to say: dealt with, and a request is answered with null
  }
}
// end

// example: TapRedactor
@Injectable()
export class NoBodies extends TapRedactor {
  redact({ topic, body }: TappedBody) {
    return topic.startsWith('health/') ? body : '[private]';
  }
}
// end

// example: WorkerChoice
@Injectable()
export class RegionFirst extends WorkerChoice {
  choose({ session, workers }: WorkerQuestion) {
    const near = workers.filter(({ id }) => id.startsWith(`${session.get('region')}-`));
    return near[Number(session.userIdUint % BigInt(near.length || 1))]?.id; // none: the usual rule decides
  }
}
// end

// example: SendMessageHook
@Injectable()
export class Visibility extends SendMessageHook {
  onSend(session: Session, topic: string, body: unknown) {
    if (topic.startsWith('staff/') && session.get('role') !== 'staff') throw new GateError('FORBIDDEN');
    return topic === 'chat/said'
      ? { ...(body as object), mine: session.userId === (body as { from: string }).from }
      : body;
  }
}
// end

// example: RecvPackHandler
@Injectable()
export class ServerTime extends RecvPackHandler {
  onPack(_session: Session, pack: IncomingPack) {
    if (pack.topic === 'time/now') pack.reply({ now: Date.now() });
    else pack.forward(); // to the RouteHandler, and on to a worker
  }
}
// end

// example: Pack
export function ask(socket: WebSocket, topic: string, body: JsonValue, id: number) {
  socket.send(JSON.stringify({ topic, body, id })); // without an id there is no reply
}
// end

// example: HandshakeHandler
@Injectable()
export class TokenHandshake extends HandshakeHandler {
  async handshake({ query, cookies }: HandshakeRequest) {
    const token = query['token'] ?? cookies['token'];
    if (!token) throw new UnauthorizedException();
    return { userId: token, settings: { role: token === 'root' ? 'staff' : 'user' }, userData: { token } };
  }
}
// end

// example: parts
@Module({ providers: [ConnectionLog], exports: [ConnectionLog] })
export class LogModule {}

export const partsGate = GateModule.forRoot({
  imports: [LogModule],
  providers: [
    { provide: SessionLearner, useClass: Presence },
    { provide: AgentLearner, useExisting: ConnectionLog },
    { provide: StorageHandler, useFactory: () => new MemoryStorage({ ttlMs: 3_600_000 }) },
  ],
});
// end

// example: Options
@Module({
  imports: [GateModule.forRoot({ ws: { path: '/chat', origins: ['https://example.com'] }, messageRate: 50 })],
  controllers: [HealthController, ModerationController, CartTopics],
})
export class ChatApp {}
// end

// example: async options
export const LIMITS = Symbol('limits');

@Module({ providers: [{ provide: LIMITS, useValue: { maxGroups: 16 } }], exports: [LIMITS] })
export class ConfigModule {}

export const configuredGate = GateModule.forRootAsync({
  imports: [ConfigModule],
  inject: [LIMITS],
  useFactory: (limits: { maxGroups: number }) => ({ ...limits, overTime: 5_000 }),
});
// end

// example: redis
export const redisStorage: Provider = {
  provide: StorageHandler,
  useFactory: () => new RedisStorage({ client: process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379' }),
};
// end

// example: forgetting
@Injectable()
export class Privacy {
  constructor(@Inject(Delegater) private readonly delegater: Delegater) {}

  forget(userId: string) {
    return this.delegater.forgetUser(userId);
  }
}
// end
