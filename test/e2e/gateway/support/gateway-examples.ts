/** The examples of `docs/gateway-api.md`: what stands between the markers stands there too, and `gateway-examples.e2e-spec.ts` runs it. */
import { Body, Controller, Injectable, Module, Param, Post } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { ClientSession, GatewayApi, GatewayApiModule, GateError, OnTopic, Session } from '@nestgate/worker';
import type { Settings } from '@nestgate/worker';

// example: handler
@Controller()
export class RoomTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('room/enter')
  async enter(@Payload() room: string, @ClientSession() session: Session) {
    await this.gateway.joinGroup(session.clientId, room); // done when it resolves
    await this.gateway.sendToGroup(room, 'room/entered', { who: session.userId }); // on its way
    return { members: await this.gateway.getClientCountByGroup(room) };
  }
}
// end

// example: service
@Controller('users')
export class AlertController {
  constructor(private readonly gateway: GatewayApi) {}

  @Post(':uid/alerts')
  async alert(@Param('uid') uid: string, @Body() alert: object) {
    const { delivered } = await this.gateway.sendToUid(uid, 'alert/new', alert, { confirm: true });
    return { delivered };
  }
}

@Module({
  imports: [GatewayApiModule.forRoot({ link: process.env['NESTGATE_LINK'] })],
  controllers: [AlertController],
})
export class AlertApp {}
// end

// example: received
export async function deliver(gateway: GatewayApi, uid: string, order: object) {
  const { delivered, received } = await gateway.sendToUid(uid, 'order/new', order, {
    confirm: 'received',
    deadlineMs: 10_000,
  });
  return received > 0 ? 'seen' : delivered > 0 ? 'not yet' : 'offline';
}
// end

// example: partial
export async function onlineCount(gateway: GatewayApi) {
  const { result, missing } = await gateway.getAllUidCount({ partial: 'allow', deadlineMs: 500 });
  return missing.length === 0 ? `${result}` : `at least ${result}`;
}
// end

// example: pages
export async function exportSessions(gateway: GatewayApi, write: (id: string, session: Settings) => Promise<void>) {
  for await (const [id, session] of gateway.clientSessions({ groups: 'lobby', limit: 500 })) await write(id, session);
}
// end

// example: one page
export async function listUids(gateway: GatewayApi, cursor?: string) {
  const page = await gateway.getUidPage({ cursor, limit: 100 });
  return { uids: page.items, next: page.cursor }; // without `next` it was the last one
}
// end

// example: backpressure
export async function replay(gateway: GatewayApi, room: string, lines: AsyncIterable<string>) {
  // Waits only when the link has enough to do: what is read is never far ahead of what is sent.
  for await (const line of lines) await gateway.sendToGroup(room, 'room/line', line);
}
// end

// example: typed events
export interface RoomEvents {
  'room/said': { from: string; text: string };
  'room/closed': undefined;
}

@Injectable()
export class Rooms {
  constructor(private readonly gateway: GatewayApi<RoomEvents>) {}

  async close(room: string, from: string) {
    await this.gateway.sendToGroup(room, 'room/said', { from, text: 'Good night!' });
    await this.gateway.sendToGroup(room, 'room/closed');
    return this.gateway.ungroup(room);
  }
}
// end

// example: current client
@Injectable()
export class Progress {
  constructor(private readonly gateway: GatewayApi) {}

  async report(percent: number) {
    await this.gateway.sendToCurrentClient('job/progress', percent); // the client whose frame is being handled
  }
}

@Controller()
export class JobTopics {
  constructor(private readonly progress: Progress) {}

  @OnTopic('job/run')
  async run(@Payload() steps: number) {
    for (let step = 1; step <= steps; step++) await this.progress.report((100 * step) / steps);
    return 'done';
  }
}
// end

// example: errors
export async function rename(gateway: GatewayApi, clientId: string, name: string) {
  try {
    await gateway.updateSession(clientId, { name });
    return 'renamed';
  } catch (error) {
    if (error instanceof GateError && error.code === 'SESSION_NOT_FOUND') return 'gone';
    throw error;
  }
}
// end

// example: revoke
export async function logOutEverywhere(gateway: GatewayApi, uid: string, but?: string) {
  const options = { forMs: 3_600_000, exclude: but ?? [], partial: 'allow' } as const; // tokens live for an hour
  let { result: closed, missing } = await gateway.revoke(uid, options);
  for (let more = 3; missing.length > 0 && more > 0; more--) {
    const again = await gateway.revoke(uid, options); // doing it twice does no harm
    closed += again.result;
    ({ missing } = again);
  }
  return { closed, missing };
}
// end
