import type { IncomingMessage, ServerResponse } from 'node:http';
import { Injectable } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { GateError } from '@nestgate/protocol';
import { configOf } from '../internals/nest.js';
import { BoundedLog } from '../log/bounded-log.js';
import { AppStart } from '../node/app-start.js';
import { HttpIntake } from './http-intake.js';
import { isListeningLocally } from './loopback.js';

type Next = (error?: unknown) => void;

/** Puts the intake before the body parser of the app, and sees to it that an API without keys is not reachable from elsewhere. */
@Injectable()
export class HttpMount {
  private readonly log = new BoundedLog('GatewayHttp');

  constructor(
    private readonly path: string,
    private readonly intake: HttpIntake,
    private readonly adapterHost: HttpAdapterHost,
    private readonly moduleRef: ModuleRef,
    start: AppStart,
  ) {
    // In tests of Nest the adapter comes after the providers.
    adapterHost.init$.subscribe(() => this.mount());
    start.addListenCheck(args => this.assertProtected(args));
  }

  private mount(): void {
    const adapter = this.adapterHost.httpAdapter as
      { use?(handle: (...args: [IncomingMessage, ServerResponse, Next]) => void): unknown } | undefined;
    adapter?.use?.((request, response, next) => {
      const name = this.nameIn(request.url ?? '');
      if (name === undefined) return next();
      void this.admit(name, request, response, next);
    });
  }

  private async admit(name: string, request: IncomingMessage, response: ServerResponse, next: Next): Promise<void> {
    try {
      if (!(await this.intake.admit(name, request, response))) return;
    } catch (error) {
      this.log.error(error);
      response.destroy();
      return;
    }
    withoutBody(request);
    next();
  }

  /** What follows the path of the API in a URL, without the query; `undefined` for other paths. */
  private nameIn(url: string): string | undefined {
    if (!url.includes(this.path)) return undefined;
    const [pathname = ''] = url.split('?', 1);
    const prefix = (configOf(this.moduleRef)?.getGlobalPrefix() ?? '').replace(/^\/?(?=.)/, '/');
    for (const base of [this.path, prefix + this.path]) {
      if (pathname.startsWith(`${base}/`)) return pathname.slice(base.length + 1);
    }
    return undefined;
  }

  /** @throws {GateError} `BAD_ARGUMENT` when other hosts can reach an API without keys. */
  private assertProtected(args: readonly unknown[]): void {
    if (this.intake.isProtected) return;
    // An app that is only initialized listens by other means, or not at all: each request is checked too.
    if (isListeningLocally(args, this.adapterHost.httpAdapter.getType())) {
      this.log.warn('The HTTP API has no keys and no guard: every program on this host may call it');
      return;
    }
    throw new GateError(
      'BAD_ARGUMENT',
      'GatewayHttpModule: without the option keys, and without a guard, the app must listen on loopback: app.listen(port, "127.0.0.1")',
    );
  }
}

/** The body has been read: Fastify looks for one by these headers. Express looks at the stream, which has ended. */
function withoutBody(request: IncomingMessage): void {
  for (const name of ['content-type', 'content-length', 'transfer-encoding']) delete request.headers[name];
}
