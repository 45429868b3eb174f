import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GateError } from '@nestgate/protocol';
import { LinkNode } from '@nestgate/link';
import { ClusterApi, GatewayApi, GatewayApiModule } from '@nestgate/worker';
import { callOperation, type HttpOperationName } from '@nestgate/worker/internal';

/** How a command reaches the cluster. */
export interface TargetOptions {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly link?: string | undefined;
  readonly secret?: string | undefined;
}

/** Where operations are run: the HTTP API of a node, or the link. */
export interface Target {
  /** Runs an operation; its result is the body of an answer of the HTTP API. @throws {GateError} */
  call<T = unknown>(name: HttpOperationName, args?: object): Promise<T>;
  close(): Promise<void>;
}

/** The configured gates of a link that cannot be reached, each with the reason. */
export function unreachedGates(target: Target): readonly string[] {
  return target instanceof LinkTarget ? target.unreached : [];
}

/** Connects by the options, or the environment. @throws {GateError} `BAD_ARGUMENT` when neither says where. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const { env } = process;
  const url = options.url ?? (options.link === undefined ? env['NESTGATE_URL'] : undefined);
  if (url !== undefined && url !== '') return new HttpTarget(url, options.key ?? env['NESTGATE_KEY']);
  const link = options.link ?? env['NESTGATE_LINK'];
  if (link !== undefined && link !== '') return LinkTarget.open(link, options.secret ?? env['NESTGATE_SECRET']);
  throw new GateError('BAD_ARGUMENT', 'Say where the cluster is: --url and --key, or --link and --secret');
}

class HttpTarget implements Target {
  private readonly base: string;

  constructor(
    url: string,
    private readonly key: string | undefined,
  ) {
    const { origin, pathname } = new URL(url);
    this.base = origin + (pathname === '/' ? '/nestgate/v1' : pathname.replace(/\/$/, ''));
  }

  async call<T>(name: HttpOperationName, args: object = {}): Promise<T> {
    let response: Response;
    try {
      response = await fetch(`${this.base}/${name}`, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          ...(this.key !== undefined && { Authorization: `Bearer ${this.key}` }),
        },
        body: JSON.stringify(args),
      });
    } catch (error) {
      const cause = (error as { cause?: { message?: string } }).cause?.message ?? String(error);
      throw new GateError('LINK_UNAVAILABLE', `${this.base} cannot be reached: ${cause}`);
    }
    const text = await response.text();
    const body = (text.startsWith('{') ? JSON.parse(text) : {}) as T & { error?: { code: string; message: string } };
    if (body.error && response.status !== 207) throw new GateError(body.error.code, body.error.message);
    if (!response.ok) throw new GateError('BAD_REQUEST', `${this.base}/${name} has answered ${response.status}`);
    return body;
  }

  async close(): Promise<void> {}
}

class LinkTarget implements Target {
  private constructor(private readonly app: INestApplicationContext) {}

  static async open(link: string, secret: string | undefined): Promise<LinkTarget> {
    const app = await NestFactory.createApplicationContext(GatewayApiModule.forRoot({ link, secret }), {
      logger: false,
      abortOnError: false,
    });
    return new LinkTarget(app);
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

  close(): Promise<void> {
    return this.app.close();
  }
}
