import { once } from 'node:events';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { GateModuleExtras, GateOptions } from '@nestgate/gate';
import { BinaryClient, type BinaryClientOptions, FakeClient, waitUntil } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench } from '../support/binary-support.js';
import { type CertificateFiles, TestCertificates } from '../support/tls-support.js';

describe('WebSocket clients over TLS, on a port of the gate', () => {
  const certificates = new TestCertificates();
  let server: CertificateFiles;
  let ca: Buffer;
  let bench: BinaryBench;
  const ends: (() => void)[] = [];

  beforeAll(() => {
    server = certificates.make('server');
    ca = certificates.read(server.certFile);
  });
  afterAll(() => certificates.remove());
  afterEach(async () => {
    for (const end of ends.splice(0)) end();
    await bench.close();
  });

  async function start(options: GateOptions & GateModuleExtras = {}): Promise<void> {
    bench = await BinaryBench.start({ tls: server, tcp: undefined, ws: { port: 0 }, ...options });
  }

  const url = (): string => `wss://127.0.0.1:${bench.gate.wsPort}/gate`;

  async function connect(options: BinaryClientOptions = {}): Promise<BinaryClient> {
    const client = await BinaryClient.overWs(url(), { ...options, ca });
    ends.push(() => client.destroy());
    return client;
  }

  async function connectJson(): Promise<FakeClient> {
    const client = await FakeClient.connect(url(), { ca });
    ends.push(() => client.socket.terminate());
    return client;
  }

  it('speak every codec', async () => {
    await start();
    const json = await connectJson();
    expect(await json.request('echo/echo', { a: 1 })).toEqual({ a: 1 });
    const pack = await connect();
    pack.send('echo/echo', ALL_BYTES);
    expect((await pack.push('echo/echo')).body.equals(ALL_BYTES)).toBe(true);
    const frame = await connect({ codec: 'frame' });
    expect((await frame.request('echo/echo', ALL_BYTES)).equals(ALL_BYTES)).toBe(true);
    expect((await frame.request('body/large', { bytes: 900_000 })).length).toBe(900_000);
  });

  it('are alive while they send, and dead when they do not', async () => {
    await start({ pingInterval: 100, heartOverTimer: 600 });
    const [silent, alive] = [await connectJson(), await connectJson()];
    // Without its pongs a client is silent.
    silent.socket.pause();
    await waitUntil('the silent one to be gone', async () => {
      await alive.request('echo/echo', 1);
      return !(await bench.cluster.api.isOnline(silent.clientId));
    });
    expect(bench.counters.get('connections_closed', 4003)).toBe(1);
  });

  it('are told when the gate stops', async () => {
    await start();
    const [json, pack] = [await connectJson(), await connect()];
    await bench.cluster.gate.app.close();
    expect([(await json.closed).code, (await pack.closed).code]).toEqual([1012, 1012]);
  });

  it('are not found elsewhere', async () => {
    await start();
    const agent = request({ host: '127.0.0.1', port: bench.gate.wsPort, path: '/other', ca });
    agent.end();
    const [response] = (await once(agent, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(404);
    const elsewhere = BinaryClient.overWs(url().replace('/gate', '/other'), { ca });
    await expect(elsewhere).rejects.toMatchObject({ status: 404 });
  });

  it('are refused without TLS', async () => {
    await start();
    const plain = connectPlain({ port: bench.gate.wsPort as number, host: '127.0.0.1' });
    plain.on('error', () => undefined).resume();
    plain.write('GET /gate HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(plain, 'close');
    const json = await connectJson();
    expect(await json.request('echo/echo', 'unharmed')).toBe('unharmed');
  });

  it('leave the server of the app as it is: it is no business of the gate', async () => {
    await start();
    const response = await fetch(`http://127.0.0.1:${bench.cluster.gate.port}/gate`);
    expect(response.status).toBe(404);
    await expect(BinaryClient.overWs(bench.cluster.gate.url)).rejects.toThrow();
  });

  it('share the certificate with those over TCP', async () => {
    await start({ tcp: { port: 0 } });
    const overTcp = await BinaryClient.overTcp(bench.tcpPort, { tls: { ca } });
    ends.push(() => overTcp.destroy());
    const overWs = await connect();
    for (const client of [overTcp, overWs]) {
      client.send('chat/login', { name: client === overTcp ? 'tcp' : 'ws' });
      client.send('chat/join', { room: 'secure' });
      await client.push('chat/join');
    }
    overTcp.send('chat/say', { room: 'secure', text: 'hello' });
    expect((await overWs.push('chat/said')).body.toString()).toContain('"from":"tcp"');
    expect((overTcp.transport as TLSSocket).encrypted).toBe(true);
  });
});
