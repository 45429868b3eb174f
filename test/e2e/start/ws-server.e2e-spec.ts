import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { HandlersModule } from '@nestgate-app/handlers';
import { HandshakeHandler, type HandshakeResult } from '@nestgate/gate';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { Server as IoServer } from 'socket.io';
import { WebSocket, WebSocketServer } from 'ws';

/** What else wants upgrades of the app's HTTP server. */
interface Neighbour {
  readonly path: string;
  add(server: HttpServer): (() => void) | void;
  /** Connects, asks something, and resolves with the answer. */
  use(url: string): Promise<string>;
}

const raw: Neighbour = {
  path: '/raw',
  add(server) {
    const wss = new WebSocketServer({ server, path: '/raw' });
    wss.on('connection', socket => socket.on('message', data => socket.send(`raw ${(data as Buffer).toString()}`)));
    return () => wss.close();
  },
  use: ask,
};

/** As servers of GraphQL do it: a server without a server, and a listener that takes its path and leaves the rest. */
const leaving = (path: string): Neighbour => ({
  path,
  add(server) {
    const wss = new WebSocketServer({ noServer: true });
    server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
      void (async () => {
        if (request.url !== path) return;
        // Authenticates the client asynchronously first.
        await new Promise(resolve => setTimeout(resolve, 50));
        wss.handleUpgrade(request, socket, head, client => {
          client.on('message', data => client.send(`${path} ${(data as Buffer).toString()}`));
        });
      })();
    });
    return () => wss.close();
  },
  use: ask,
});
const graphql = leaving('/graphql');

const socketIo: Neighbour = {
  path: '/socket.io/?EIO=4&transport=websocket',
  add(server) {
    const io = new IoServer(server, { destroyUpgradeTimeout: 100 });
    io.on('connection', socket => socket.on('say', (text: string) => socket.emit('said', text)));
    return () => io.engine.close();
  },
  use: async url => {
    const socket = new WebSocket(url);
    const frames: string[] = [];
    socket.on('message', data => {
      frames.push((data as Buffer).toString());
      if (frames.length === 1) socket.send('40');
      if (frames.length === 2) socket.send('42["say","x"]');
    });
    await until(() => frames.length === 3, socket);
    socket.terminate();
    return frames[2] as string;
  },
};

const nest: Neighbour = {
  path: '/other',
  add: () => undefined,
  use: async url => {
    const socket = new WebSocket(url);
    socket.on('open', () => socket.send('{"event":"shout","data":"x"}'));
    const frames: string[] = [];
    socket.on('message', data => frames.push((data as Buffer).toString()));
    await until(() => frames.length === 1, socket);
    socket.terminate();
    return frames[0] as string;
  },
};

const ANSWER: Readonly<Record<string, string>> = {
  '/raw': 'raw x',
  '/graphql': '/graphql x',
  '/late': '/late x',
  [socketIo.path]: '42["said","x"]',
  '/other': '{"event":"shouted","data":"X"}',
};

@WebSocketGateway({ path: '/other' })
class OtherGateway {
  @SubscribeMessage('shout')
  shout(@MessageBody() text: string): { event: string; data: string } {
    return { event: 'shouted', data: text.toUpperCase() };
  }
}

/** Takes longer than the neighbours wait for whom they do not know. */
class SlowHandshake extends HandshakeHandler {
  override async handshake(): Promise<HandshakeResult> {
    await new Promise(resolve => setTimeout(resolve, 250));
    return {};
  }
}

describe("the gate's WebSocket server beside others of the application", () => {
  let cluster: TestCluster | undefined;
  const cleanups: (() => void)[] = [];

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) cleanup();
    await cluster?.close();
    cluster = undefined;
  });

  /** Neighbours that are there before the start, and others that are added after it. */
  async function start(before: readonly Neighbour[], after: readonly Neighbour[]): Promise<string> {
    const add = (server: HttpServer, neighbours: readonly Neighbour[]): void => {
      for (const each of neighbours) cleanups.push(each.add(server) ?? (() => undefined));
    };
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule], providers: before.includes(nest) ? [OtherGateway] : [] },
      gate: { overTime: 800, providers: [{ provide: HandshakeHandler, useClass: SlowHandshake }] },
      setup: app => {
        const nestApp = app as INestApplication;
        nestApp.useWebSocketAdapter(new WsAdapter(nestApp));
        add(nestApp.getHttpServer() as HttpServer, before);
      },
    });
    cluster.gate.app.useWebSocketAdapter(new WsAdapter(cluster.gate.app));
    add(cluster.gate.app.getHttpServer() as HttpServer, after);
    return `ws://127.0.0.1:${cluster.gate.port}`;
  }

  async function useGate(): Promise<unknown> {
    const client = await (cluster as TestCluster).connect();
    return client.request('echo/echo', 'gate');
  }

  it.each([
    ['a server of ws, before the start', [raw], []],
    ['a server of ws, after the start', [], [raw]],
    ['a listener that leaves other paths alone, before the start', [graphql], []],
    ['a listener that leaves other paths alone, after the start', [], [graphql]],
    ['socket.io, before the start', [socketIo], []],
    ['socket.io, after the start', [], [socketIo]],
    ['a @WebSocketGateway on ws', [nest], []],
    ['a listener before, and one after the start', [graphql], [leaving('/late')]],
  ])('%s', async (_what, before, after) => {
    const base = await start(before, after);
    for (let round = 0; round < 2; round++) {
      expect(await useGate()).toBe('gate');
      for (const { path, use } of [...before, ...after]) expect(await use(base + path)).toBe(ANSWER[path]);
      expect(await useGate()).toBe('gate');
    }
  });

  it('answers 404 where nobody listens, and again when the last listener has gone', async () => {
    const base = await start([], []);
    expect(await statusOf(`${base}/nothing`)).toBe(404);
    const server = cluster?.gate.app.getHttpServer() as HttpServer;
    const wss = new WebSocketServer({ noServer: true });
    const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void =>
      wss.handleUpgrade(request, socket, head, client => client.close(4321));
    server.on('upgrade', listener);
    expect(await statusOf(`${base}/nothing`)).toBe(4321);
    server.off('upgrade', listener);
    expect(await statusOf(`${base}/nothing`)).toBe(404);
  });

  it('answers 404 on a path that all listeners leave alone, after the time of a handshake', async () => {
    const base = await start([graphql], []);
    expect(await statusOf(`${base}/nothing`)).toBe(404);
  });

  it('survives the reset of a client whose upgrade nobody has answered yet', async () => {
    await start([graphql], []);
    const socket = await upgradeRaw((cluster as TestCluster).gate.port, '/nothing');
    await new Promise(resolve => setTimeout(resolve, 50));
    socket.resetAndDestroy();
    await new Promise(resolve => setTimeout(resolve, 100));
    expect(await useGate()).toBe('gate');
  });

  it('keeps sockets of others through its own shutdown, and gives the server back', async () => {
    const base = await start([raw], []);
    const server = cluster?.gate.app.getHttpServer() as HttpServer;
    const other = new WebSocket(`${base}/raw`);
    await new Promise(resolve => other.once('open', resolve));
    const ended = new Promise<number>(resolve => other.once('close', resolve));
    const closing = (cluster as TestCluster).gate.app.close();
    setTimeout(() => other.close(4000), 300);
    // The client has closed it itself; the gate has not cut it.
    expect(await ended).toBe(4000);
    await closing;
    expect(Object.hasOwn(server, 'emit')).toBe(false);
  });

  it('creates its server of the ws that it depends on', async () => {
    const base = await start([nest], []);
    const socket = new WebSocket(`${base}/gate`);
    await new Promise(resolve => socket.once('open', resolve));
    const { WsAcceptor } = (await import('../../../libs/gate/src/websocket/ws-acceptor.js')) as {
      WsAcceptor: new (...args: never[]) => object;
    };
    const acceptor = cluster?.gate.app.get<object>(WsAcceptor) as { readonly wss: WebSocketServer };
    expect(acceptor.wss).toBeInstanceOf(WebSocketServer);
    socket.terminate();
  });
});

it('an HTTP server without a gate behaves as these tests assume', async () => {
  const server = createServer();
  const wss = raw.add(server) as () => void;
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await ask(`ws://127.0.0.1:${port}/raw`)).toBe('raw x');
  wss();
  await new Promise(resolve => server.close(resolve));
});

async function ask(url: string): Promise<string> {
  const socket = new WebSocket(url);
  socket.on('open', () => socket.send('x'));
  const frames: string[] = [];
  socket.on('message', data => frames.push((data as Buffer).toString()));
  await until(() => frames.length === 1, socket);
  socket.terminate();
  return frames[0] as string;
}

/** Waits for frames; rejects when the connection ends before. */
async function until(isDone: () => boolean, socket: WebSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.on('message', () => {
      if (isDone()) resolve();
    });
    socket.on('error', reject);
    socket.on('close', code => reject(new Error(`closed with ${code}`)));
  });
}

/** The HTTP status, or close code, that a connection ends with. */
function statusOf(url: string): Promise<number> {
  const socket = new WebSocket(url);
  socket.on('error', () => undefined);
  return new Promise(resolve => {
    socket.on('close', resolve);
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode ?? 0);
      request.destroy();
    });
  });
}

async function upgradeRaw(port: number, path: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise(resolve => socket.once('connect', resolve));
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  );
  return socket;
}
