import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, type INestApplication, Logger } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { WebSocketGateway } from '@nestjs/websockets';
import { HandlersModule } from '@nestgate-app/handlers';
import { GateModule, type GateOptions } from '@nestgate/gate';
import { createTestCluster, FakeClient, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';
import { RawSocket, statusOf, upgradeRequest } from '../support/raw-socket.js';
import { startApp } from '../../support/start-app.js';

@Controller()
class IpTopics {
  @OnTopic('ip/get')
  get(@ClientSession() session: Session): string {
    return session.ip;
  }
}

@WebSocketGateway({ path: '/gate' })
class Shadowed {}

@WebSocketGateway({ path: 'gate/' })
class ShadowedToo {}

@WebSocketGateway({ path: '/other' })
class Seen {}

let lines: string[];

beforeEach(() => {
  lines = [];
  jest.spyOn(Logger.prototype, 'warn').mockImplementation((line: unknown) => void lines.push(String(line)));
});
afterEach(() => {
  jest.restoreAllMocks();
});

const linesOf = (status: number): string[] => lines.filter(line => line.startsWith(`${status} `));

describe('a client that is refused leaves one line, with what differed and the option', () => {
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await cluster?.close();
    cluster = undefined;
  });

  async function start(gate: GateOptions = {}): Promise<number> {
    cluster = await createTestCluster({ handlers: { imports: [HandlersModule] }, gate });
    return cluster.gate.port;
  }

  it('403: the origin', async () => {
    const port = await start();
    const headers = { Host: '127.0.0.1:3000', Origin: 'http://localhost:5173' };
    for (let i = 0; i < 5; i++) expect(await statusOf(port, upgradeRequest({ headers }))).toBe(403);
    expect(linesOf(403)).toEqual(['403 origin http://localhost:5173, host 127.0.0.1:3000: see ws.origins']);
  });

  it('404: the path, without its query', async () => {
    const port = await start();
    expect(await statusOf(port, upgradeRequest({ path: '/socket?token=secret' }))).toBe(404);
    expect(linesOf(404)).toEqual(['404 path /socket, endpoint /gate: see ws.path']);
  });

  it('429: the address', async () => {
    const port = await start({ maxConnectionsPerIp: 1 });
    await cluster?.connect();
    expect(await statusOf(port, upgradeRequest())).toBe(429);
    expect(linesOf(429)).toEqual([
      '429 1 connections of 127.0.0.1: see maxConnectionsPerIp, and trustedProxies for clients behind a proxy',
    ]);
  });

  it('503: the gate is full, or takes no more in this second', async () => {
    const port = await start({ maxConnections: 1 });
    await cluster?.connect();
    expect(await statusOf(port, upgradeRequest())).toBe(503);
    expect(linesOf(503)).toEqual(['503 1 connections: see maxConnections']);
    await cluster?.close();
    lines = [];
    const other = await start({ maxConnectionRate: 1 });
    await cluster?.connect();
    expect(await statusOf(other, upgradeRequest())).toBe(503);
    expect(linesOf(503)).toEqual(['503 more than 1 new connections a second: see maxConnectionRate']);
  });

  it('1009: the limit, over WebSocket and TCP', async () => {
    const port = await start({ maxPackSize: 1_000, tcp: { port: 0 } });
    const client = await cluster?.connect();
    client?.socket.send('x'.repeat(1_001));
    expect(await client?.closed).toEqual({ code: 1009, reason: 'a message of more than 1000 bytes (maxPackSize)' });
    const expected = '1009 a message of more than 1000 bytes (maxPackSize) from 127.0.0.1';
    expect(linesOf(1009)).toEqual([expected]);
    expect(port).toBeGreaterThan(0);
  });

  it('429 of a TCP client', async () => {
    await start({ maxConnectionsPerIp: 1, tcp: { port: 0 } });
    await cluster?.connect();
    const { Gate } = await import('@nestgate/gate');
    const socket = await RawSocket.open(cluster?.gate.app.get(Gate).tcpPort as number);
    await waitUntil('the end', () => socket.ended);
    expect(linesOf(429)).toHaveLength(1);
  });

  it('many of one kind do not hide another, and a line is not as long as what the client sends', async () => {
    const port = await start();
    const headers = { Host: 'gate.test', Origin: 'http://evil.test' };
    for (let i = 0; i < 30; i++) await statusOf(port, upgradeRequest({ headers }));
    expect(await statusOf(port, upgradeRequest({ path: `/%0a${'x'.repeat(5_000)}` }))).toBe(404);
    expect(linesOf(403).length).toBeLessThan(5);
    expect(linesOf(404)).toHaveLength(1);
    expect(linesOf(404)[0]?.length).toBeLessThan(1_500);
  });
});

describe('a @WebSocketGateway on the path of the gate', () => {
  let app: INestApplication;

  afterEach(() => app.close());

  it('is warned of at start, by name', async () => {
    app = await startApp(
      { imports: [GateModule.forRoot({ startupWait: 0 })], providers: [Shadowed, ShadowedToo, Seen] },
      { prepare: made => void made.useWebSocketAdapter(new WsAdapter(made)) },
    );
    const warnings = lines.filter(line => line.includes('@WebSocketGateway'));
    expect(warnings.map(line => line.split(' ')[1]).toSorted()).toEqual(['Shadowed', 'ShadowedToo']);
    expect(warnings[0]).toContain('ws.path');
  });
});

describe('clients behind a Unix socket', () => {
  let app: INestApplication;
  let proxy: Server;
  let dir: string;
  const clients: FakeClient[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.socket.terminate();
    proxy.close();
    await app.close();
    rmSync(dir, { recursive: true });
  });

  /** A proxy on a TCP port, which passes everything on to the Unix socket as it comes. */
  async function start(gate: GateOptions): Promise<string> {
    dir = mkdtempSync(join(tmpdir(), 'nestgate-unix-'));
    const path = join(dir, 'gate.sock');
    const imports = [GateModule.forRoot({ startupWait: 0, ...gate })];
    app = await startApp({ imports, controllers: [IpTopics] }, { handles: true, path });
    proxy = createServer(client => {
      const server = connect(path);
      for (const socket of [client, server]) socket.on('error', () => undefined);
      client.pipe(server).pipe(client);
    });
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve));
    return `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}/gate`;
  }

  async function ipVia(url: string, forwarded: string): Promise<unknown> {
    const client = await FakeClient.connect(url, { headers: { 'x-forwarded-for': forwarded } });
    clients.push(client);
    return client.request('ip/get');
  }

  it('are told apart by X-Forwarded-For with trustedProxies: unix', async () => {
    const url = await start({ trustedProxies: ['unix'], maxConnectionsPerIp: 1 });
    expect(await ipVia(url, '203.0.113.7:4711')).toBe('203.0.113.7');
    expect(await ipVia(url, '198.51.100.1, [2001:db8::7]:1')).toBe('2001:db8::7');
    await expect(ipVia(url, '203.0.113.7:4712')).rejects.toMatchObject({ status: 429 });
  });

  it('are not counted as one address without it', async () => {
    const url = await start({ maxConnectionsPerIp: 1 });
    expect(await ipVia(url, '203.0.113.7')).toBe('');
    expect(await ipVia(url, '203.0.113.7')).toBe('');
  });
});
