import 'reflect-metadata';
import type { INestApplicationContext, LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LinkNode } from '@nestgate/link';
import { ClusterApi, GatewayApi, GatewayApiModule } from '@nestgate/worker';
import { callOperation, type HttpOperationName } from '@nestgate/worker/internal';
import type { Target } from './target.js';

/** Warnings that are kept. */
const MAX_KEPT = 100;
const DENIED = /^NATS does not permit this node to /;

/** Keeps the warnings of the node, which nobody sees otherwise. */
class Warnings implements LoggerService {
  readonly texts: string[] = [];

  log(): void {}

  error(): void {}

  warn(message: unknown): void {
    if (this.texts.length < MAX_KEPT) this.texts.push(String(message));
  }
}

/** A command as a node of the link, which serves nothing. */
export class LinkTarget implements Target {
  private constructor(
    private readonly app: INestApplicationContext,
    private readonly warnings: Warnings,
    private readonly isNats: boolean,
  ) {}

  /** Joins the link. @throws {GateError} */
  static async open(link: string, secret: string | undefined): Promise<LinkTarget> {
    const logger = new Warnings();
    const app = await NestFactory.createApplicationContext(GatewayApiModule.forRoot({ link, secret }), {
      logger,
      abortOnError: false,
    });
    return new LinkTarget(app, logger, /^(nats|tls):/.test(link));
  }

  async call<T>(name: HttpOperationName, args: object = {}): Promise<T> {
    const { body } = await callOperation(this.app.get(GatewayApi), this.app.get(ClusterApi), name, args);
    return body as T;
  }

  get unreached(): readonly string[] {
    return this.app
      .get(LinkNode)
      .unreachedGates.map(({ name, reason }) => (reason === undefined ? name : `${name}: ${reason}`));
  }

  get denials(): readonly string[] | undefined {
    if (!this.isNats) return undefined;
    return this.warnings.texts.filter(text => DENIED.test(text));
  }

  close(): Promise<void> {
    return this.app.close();
  }
}
