/** Examples of `docs/worker.md` about who may do what. See `worker-examples.ts`. */
import { type CanActivate, Controller, type ExecutionContext, Injectable, UseGuards } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Payload } from '@nestjs/microservices';
import { GatewayApi, GateError, OnTopic, type TopicContext } from '@nestgate/worker';

// example: roles
export const Roles = Reflector.createDecorator<readonly string[]>();

@Injectable()
export class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext) {
    const wanted = this.reflector.getAllAndOverride(Roles, [context.getHandler(), context.getClass()]);
    if (!wanted) return true;
    const { session } = context.switchToRpc().getContext<TopicContext>();
    if (session.isGuest) throw new GateError('UNAUTHORIZED');
    const roles = session.get<readonly string[]>('roles') ?? [];
    return wanted.some(role => roles.includes(role)); // false is FORBIDDEN
  }
}

@Controller()
@UseGuards(RolesGuard)
@Roles(['member', 'admin'])
export class HallTopics {
  constructor(private readonly gateway: GatewayApi) {}

  @OnTopic('hall/count')
  count() {
    return this.gateway.getClientCountByGroup('hall');
  }

  @OnTopic('hall/ban')
  @Roles(['admin'])
  async ban(@Payload('uid') uid: string) {
    return { closed: await this.gateway.revoke(uid) };
  }
}
// end
