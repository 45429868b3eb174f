import type { IncomingMessage } from 'node:http';
import { ForbiddenException, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { GateError } from '@nestgate/protocol';
import { AppStart, BoundedLog, isListeningLocally, isLocal } from '@nestgate/worker/internal';

/** Sees to it that a page without a guard is not reachable from elsewhere. */
@Injectable()
export class AdminExposure {
  private readonly log = new BoundedLog('Admin');

  constructor(
    private readonly hasGuard: boolean,
    private readonly adapterHost: HttpAdapterHost,
    start: AppStart,
  ) {
    start.addListenCheck(args => this.assertProtected(args));
  }

  /** An app that is only initialized listens by other means: each request is checked too. @throws {ForbiddenException} */
  assertAllowed(request: IncomingMessage): void {
    if (!this.hasGuard && !isLocal(request)) throw new ForbiddenException();
  }

  /** @throws {GateError} `BAD_ARGUMENT` when other hosts can reach a page without a guard. */
  private assertProtected(args: readonly unknown[]): void {
    if (this.hasGuard) return;
    if (!isListeningLocally(args, this.adapterHost.httpAdapter.getType())) {
      throw new GateError(
        'BAD_ARGUMENT',
        'AdminModule: without a guard the app must listen on loopback: app.listen(port, "127.0.0.1"); or use LoopbackGuard',
      );
    }
    this.log.warn('The admin page has no guard: every program on this host may use it');
  }
}
