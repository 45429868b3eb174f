import type { IncomingMessage } from 'node:http';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { isLocal } from './loopback.js';

/**
 * Permits requests of programs on the same host only, whatever address the app listens on: not those that a proxy has forwarded, and not
 * those of pages of other sites.
 */
@Injectable()
export class LoopbackGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<IncomingMessage & { readonly raw?: IncomingMessage }>();
    return isLocal(request.raw ?? request);
  }
}
