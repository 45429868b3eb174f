import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  HttpException,
  type INestApplication,
  type ModuleMetadata,
  UnauthorizedException,
} from '@nestjs/common';
import { type ApplicationConfig, APP_FILTER, ModuleRef } from '@nestjs/core';
import { GateModule } from '@nestgate/gate';
import { FakeClient } from '@nestgate/testing';
import { GateError, OnTopic } from '@nestgate/worker';
import { of } from 'rxjs';
import { RawSocket, statusOf, upgradeRequest } from '../support/raw-socket.js';
import { startApp } from '../../support/start-app.js';

@Controller()
class Routes {
  @Get('refused')
  refused(): never {
    throw new UnauthorizedException('Who?');
  }

  @Get('coded')
  coded(): never {
    throw new GateError('FORBIDDEN');
  }
}

/** The same routes beside a topic. */
@Controller('both')
class RoutesAndTopics extends Routes {
  @OnTopic('host/echo')
  echo(body: unknown): unknown {
    return body;
  }
}

@Catch(HttpException)
class Teapot implements ExceptionFilter {
  catch(_exception: HttpException, host: ArgumentsHost): void {
    host
      .switchToHttp()
      .getResponse<{ status(code: number): { json(body: unknown): void } }>()
      .status(418)
      .json({ tea: 1 });
  }
}

type ServerLimits = Pick<Server, 'headersTimeout' | 'requestTimeout' | 'keepAliveTimeout' | 'timeout'> & {
  connectionsCheckingInterval?: number;
};

describe('the app that hosts a gate', () => {
  let app: INestApplication;
  let server: Server & ServerLimits;

  afterEach(async () => {
    jest.restoreAllMocks();
    await app.close();
  });

  async function start(prepare: () => void = () => undefined, more: ModuleMetadata = {}): Promise<void> {
    const imports = [GateModule.forRoot({ startupWait: 0, overTime: 8_000 })];
    const note = (made: INestApplication): void => {
      app = made;
      server = app.getHttpServer() as Server;
      prepare();
    };
    await startApp({ imports, controllers: [Routes, RoutesAndTopics], ...more }, { handles: true, prepare: note });
  }

  const port = (): number => (server.address() as AddressInfo).port;

  it.each<[name: string, limits: Partial<ServerLimits>]>([
    ['stricter', { headersTimeout: 3_000, connectionsCheckingInterval: 200 }],
    ['laxer', { headersTimeout: 90_000, connectionsCheckingInterval: 40_000 }],
    ['others', { requestTimeout: 5_000, keepAliveTimeout: 1_234, timeout: 77_000 }],
  ])('keeps the limits of its server that it has set itself: %s', async (_name, limits) => {
    await start(() => Object.assign(server, limits));
    expect(server).toMatchObject(limits);
  });

  it('has a limit for headers where it has set none', async () => {
    const { headersTimeout } = createServer();
    await start();
    expect(headersTimeout).toBeGreaterThan(8_000);
    expect(server.headersTimeout).toBe(8_000);
  });

  it('answers malformed requests itself, when it wants to', async () => {
    const seen: string[] = [];
    await start(() => {
      server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
        seen.push(error.code ?? '');
        socket.end('HTTP/1.1 499 Mine\r\nConnection: close\r\n\r\n');
      });
    });
    expect(await statusOf(port(), 'nonsense\r\n\r\n')).toBe(499);
    expect(seen).toHaveLength(1);
  });

  it('has them answered by the gate otherwise', async () => {
    await start();
    expect(await statusOf(port(), 'nonsense\r\n\r\n')).toBe(400);
    const socket = await RawSocket.open(port());
    socket.send(upgradeRequest());
    expect(await socket.answer()).toBe(101);
    socket.reset();
  });

  it('finds its configuration as it was, and its pre-request hooks run', async () => {
    const calls: string[] = [];
    let config: ApplicationConfig | undefined;
    let before: unknown;
    await start(() => {
      config = (app.get(ModuleRef)['container'] as { applicationConfig: ApplicationConfig }).applicationConfig;
      before = config.getGlobalPreRequestHooks;
      config.registerPreRequestHook((context, next) => {
        calls.push(context.getHandler().name);
        return next?.() ?? of(undefined);
      });
    });
    expect(config?.getGlobalPreRequestHooks).toBe(before);
    expect(Object.keys(config ?? {}).filter(key => typeof config?.[key as never] === 'function')).toEqual([]);
    const client = await FakeClient.connect(`ws://127.0.0.1:${port()}/gate`);
    expect(await client.request('host/echo', 1)).toBe(1);
    expect(calls).toEqual(['echo']);
    client.socket.terminate();
  });

  it('keeps a method of its configuration that the application has replaced, before the start and after', async () => {
    let config: ApplicationConfig | undefined;
    const calls: string[] = [];
    const replace = (name: string): (() => never[]) => {
      const own = (): never[] => (calls.push(name), []);
      if (config) config.getGlobalPreRequestHooks = own;
      return own;
    };
    let before: unknown;
    await start(() => {
      config = (app.get(ModuleRef)['container'] as { applicationConfig: ApplicationConfig }).applicationConfig;
      before = replace('before');
    });
    expect(config?.getGlobalPreRequestHooks).toBe(before);
    expect(calls).toContain('before');
    const after = replace('after');
    const client = await FakeClient.connect(`ws://127.0.0.1:${port()}/gate`);
    expect(await client.request('host/echo', 1)).toBe(1);
    expect((await fetch(`http://127.0.0.1:${port()}/both/refused`)).status).toBe(401);
    expect(config?.getGlobalPreRequestHooks).toBe(after);
    client.socket.terminate();
  });

  it('keeps limits and listeners of its server that it sets after the start', async () => {
    const seen: string[] = [];
    const note = (name: string) => (): void => void seen.push(name);
    const listeners = { connection: note('connection before'), request: note('request before') };
    await start(() => {
      for (const [event, listener] of Object.entries(listeners)) server.on(event, listener);
    });
    for (const [event, listener] of Object.entries(listeners)) expect(server.listeners(event)).toContain(listener);
    const limits = { headersTimeout: 90_000, requestTimeout: 91_000, keepAliveTimeout: 1_234, timeout: 77_000 };
    Object.assign(server, limits);
    server.on('connection', note('connection after'));
    server.on('request', note('request after'));
    server.on('clientError', (_error: Error, socket: Socket) => {
      note('clientError after')();
      socket.end('HTTP/1.1 499 Mine\r\nConnection: close\r\n\r\n');
    });
    server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      if (request.url !== '/mine') return;
      note('upgrade after')();
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 498 Mine\r\nConnection: close\r\n\r\n');
    });
    const client = await FakeClient.connect(`ws://127.0.0.1:${port()}/gate`);
    expect(await client.request('host/echo', 1)).toBe(1);
    expect((await fetch(`http://127.0.0.1:${port()}/both/refused`)).status).toBe(401);
    expect(await statusOf(port(), 'nonsense\r\n\r\n')).toBe(499);
    const socket = await RawSocket.open(port());
    socket.send(upgradeRequest({ path: '/mine' }));
    expect(await socket.answer()).toBe(498);
    const names = ['connection before', 'request before', 'connection after', 'request after'];
    expect(new Set(seen)).toEqual(new Set([...names, 'clientError after', 'upgrade after']));
    expect(server).toMatchObject(limits);
    client.socket.terminate();
    socket.reset();
  });

  it.each(['refused', 'coded'])('answers errors of routes beside topics as those of others: %s', async route => {
    await start();
    const answers = await Promise.all(['', 'both/'].map(path => fetch(`http://127.0.0.1:${port()}/${path}${route}`)));
    const [plain, both] = await Promise.all(answers.map(async each => [each.status, await each.text()]));
    expect(both).toEqual(plain);
  });

  it('has its own filters for routes beside topics', async () => {
    await start(undefined, { providers: [{ provide: APP_FILTER, useClass: Teapot }] });
    for (const path of ['refused', 'both/refused']) {
      expect([path, (await fetch(`http://127.0.0.1:${port()}/${path}`)).status]).toEqual([path, 418]);
    }
  });
});
