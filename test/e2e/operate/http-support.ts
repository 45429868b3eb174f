import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type INestApplication, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Gate, GateModule, type GateOptions } from '@nestgate/gate';
import { FakeClient } from '@nestgate/testing';
import { GatewayHttpModule, GateTransport, type HttpKey } from '@nestgate/worker';

/** The HTTP frameworks that Nest has. */
export type Framework = 'express' | 'fastify';
export const FRAMEWORKS: readonly Framework[] = ['express', 'fastify'];

export const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');

export const ALL_KEY = 'all-of-it';
export const KEYS: readonly HttpKey[] = [
  { name: 'all', sha256: sha256(ALL_KEY), scopes: ['push', 'query', 'manage'] },
  { name: 'push', sha256: sha256('only-push'), scopes: ['push'] },
  { name: 'old', sha256: sha256('too-old'), scopes: ['push'], expiresAt: 1_000 },
];

export interface HttpGateOptions {
  readonly http?: Parameters<typeof GatewayHttpModule.forRoot>[0];
  readonly gate?: GateOptions;
  readonly providers?: readonly Type[];
  readonly imports?: readonly Type[];
  readonly host?: string;
  readonly setup?: (app: INestApplication) => void;
}

/** The answer to a request. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A gate with the HTTP API. */
export class HttpGate {
  private readonly clients: FakeClient[] = [];

  private constructor(
    readonly app: INestApplication,
    readonly port: number,
  ) {}

  static async start(framework: Framework, options: HttpGateOptions = {}): Promise<HttpGate> {
    @Module({
      imports: [
        GateModule.forRoot({ startupWait: 0, ...options.gate }),
        GatewayHttpModule.forRoot(options.http ?? { keys: KEYS }),
        ...(options.imports ?? []),
      ],
    })
    class AppModule {}
    const app =
      framework === 'fastify'
        ? await NestFactory.create(AppModule, new FastifyAdapter(), { logger: false, abortOnError: false })
        : await NestFactory.create(AppModule, { logger: false, abortOnError: false });
    try {
      options.setup?.(app);
      app.connectMicroservice({ strategy: app.get(GateTransport) });
      await app.startAllMicroservices();
      await app.listen(0, options.host ?? '127.0.0.1');
    } catch (error) {
      await app.close();
      throw error;
    }
    return new HttpGate(app, (app.getHttpServer().address() as AddressInfo).port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async connect(): Promise<FakeClient> {
    const client = await FakeClient.connect(`ws://127.0.0.1:${this.port}${this.app.get(Gate).options.ws.path}`);
    this.clients.push(client);
    return client;
  }

  /** Calls an operation with all rights, or with other headers. */
  call(name: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.request(`/nestgate/v1/${name}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ALL_KEY}`, 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  async request(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.url + path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text[0] === '{' ? JSON.parse(text) : text };
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.socket.terminate();
    await this.app.close();
  }
}
