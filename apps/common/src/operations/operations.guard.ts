import type { IncomingMessage } from 'node:http';
import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  NotFoundException,
} from '@nestjs/common';
import { LoopbackGuard } from '@nestgate/worker';
import { OperationsPort } from './operations-port.js';

/**
 * Who may read `/health` and `/metrics`: everyone on the {@link OperationsPort}. Without such a port they are on that of the app, for
 * programs on the same host only.
 */
@Injectable()
export class OperationsGuard implements CanActivate {
  private readonly local = new LoopbackGuard();

  constructor(private readonly operations: OperationsPort) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.operations.isOwn(context.switchToHttp().getRequest<IncomingMessage>())) return true;
    if (this.operations.port !== undefined) throw new NotFoundException();
    if (this.local.canActivate(context)) return true;
    throw new ForbiddenException('Only for programs on the same host; NESTGATE_OPS_PORT opens a port for others');
  }
}
