import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { GateModuleExtras, GateOptions } from '@nestgate/gate';
import { FrameKind } from '@nestgate/protocol';
import { BinaryClient, type BinaryClientOptions, waitUntil } from '@nestgate/testing';
import { ALL_BYTES, BinaryBench, received } from '../support/binary-support.js';
import { type CertificateFiles, TestCertificates } from '../support/tls-support.js';

describe('TCP clients over TLS', () => {
  const certificates = new TestCertificates();
  let server: CertificateFiles;
  let bench: BinaryBench;
  const clients: BinaryClient[] = [];

  beforeAll(() => {
    server = certificates.make('server');
  });
  afterAll(() => certificates.remove());
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await bench.close();
  });

  async function start(options: GateOptions & GateModuleExtras = {}): Promise<void> {
    bench = await BinaryBench.start({ tls: server, ...options });
  }

  async function connect(options: BinaryClientOptions = {}, tls: ConnectionOptions = {}): Promise<BinaryClient> {
    const ca = certificates.read(server.certFile);
    const client = await BinaryClient.overTcp(bench.tcpPort, { ...options, tls: { ca, ...tls } });
    clients.push(client);
    return client;
  }

  it('exchange packs', async () => {
    await start();
    const client = await connect();
    const secured = client.transport as TLSSocket;
    expect([secured.authorized, secured.getPeerCertificate().subject.CN]).toEqual([true, 'server']);
    client.send('echo/echo', ALL_BYTES);
    expect((await client.push('echo/echo')).body.equals(ALL_BYTES)).toBe(true);
    const [agent] = bench.gate.delegater.sessions();
    expect([agent?.connection.ip, agent?.connection.network]).toEqual(['127.0.0.1', 'tcp']);
  });

  it('exchange encrypted packs', async () => {
    await start({ encryptKey: 'secret' });
    const client = await connect({ encryptKey: 'secret' });
    client.send('echo/echo', 'twice');
    expect((await client.push('echo/echo')).body.toString()).toBe('twice');
  });

  it('exchange frames: hello, requests, and much at once', async () => {
    await start({ tcp: { port: 0, codec: 'frame' } });
    const client = await connect({ codec: 'frame' });
    expect((await received(client, 1))[0]?.kind).toBe(FrameKind.hello);
    const requests = Array.from({ length: 500 }, (_, i) =>
      client.encode(FrameKind.request, i + 1, 'echo/echo', `${i}`),
    );
    client.sendRaw(Buffer.concat(requests));
    const [, ...replies] = await received(client, 501);
    expect(replies.map(({ body }) => Number(body.toString()))).toEqual(Array.from({ length: 500 }, (_, i) => i));
    client.sendFrame(FrameKind.request, 1_000, 'body/large', '{"bytes":900000}');
    expect((await client.answer(1_000)).body.length).toBe(900_000);
  });

  it('that end behind their requests get all their answers', async () => {
    await start();
    const client = await connect();
    for (const ms of [60, 0, 30]) client.send('echo/slow', { ms });
    client.end();
    await client.closed;
    expect(client.pushes('echo/slow').map(({ body }) => body.toString())).toEqual([
      '{"ms":60}',
      '{"ms":0}',
      '{"ms":30}',
    ]);
  });

  it('are alive while they send, and dead when they do not', async () => {
    await start({ pingInterval: 100, heartOverTimer: 600 });
    const [silent, alive] = [await connect(), await connect()];
    await waitUntil('the silent one to be closed', () => {
      alive.sendRaw(Buffer.of(4, 0, 0, 0));
      return silent.closedWith;
    });
    expect(bench.counters.get('connections_closed', 4003)).toBe(1);
    alive.send('echo/echo', 'here');
    await alive.push('echo/echo');
  });

  it('that break the protocol are closed', async () => {
    await start();
    const client = await connect();
    client.sendRaw(Buffer.of(2, 0));
    await client.closed;
    expect(bench.counters.get('connections_closed', 1002)).toBe(1);
  });

  it('are refused with what is no TLS, or too old', async () => {
    await start();
    const plain = connectPlain({ port: bench.tcpPort, host: '127.0.0.1' });
    const seen: Buffer[] = [];
    plain.on('error', () => undefined).on('data', data => seen.push(data));
    plain.write(Buffer.from('0900030061 2f62 6869'.replaceAll(' ', ''), 'hex'));
    await once(plain, 'close');
    // An alert of TLS at most.
    expect(Buffer.concat(seen).includes('a/b')).toBe(false);
    expect(bench.counters.get('handshakes_refused', 'tls')).toBe(1);
    const old = connect({}, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    await expect(old).rejects.toThrow();
    expect(bench.counters.get('handshakes_refused', 'tls')).toBe(2);
    await connect({}, { maxVersion: 'TLSv1.2' });
    await bench.left(1);
  });

  it('that are silent in their handshake are closed when its time is over, and do not count any more', async () => {
    await start({ overTime: 200, maxConnectionsPerIp: 1 });
    const silent = connectPlain({ port: bench.tcpPort, host: '127.0.0.1' });
    silent.on('error', () => undefined);
    const since = Date.now();
    await once(silent.resume(), 'close');
    expect(Date.now() - since).toBeGreaterThanOrEqual(150);
    expect(bench.counters.get('handshakes_refused', 'tls')).toBe(1);
    const client = await connect();
    client.send('echo/echo', 'next');
    await client.push('echo/echo');
  });

  it('that are silent in their handshake do not hold up the end of the gate', async () => {
    await start();
    const client = await connect();
    const silent = connectPlain({ port: bench.tcpPort, host: '127.0.0.1' });
    silent.on('error', () => undefined);
    await once(silent, 'connect');
    const gone = once(silent.resume(), 'close');
    const since = Date.now();
    await bench.cluster.gate.app.close();
    await Promise.all([gone, client.closed]);
    // Its handshake has ten seconds.
    expect(Date.now() - since).toBeLessThan(4_000);
  });

  it('whose handshake ends when the gate is stopping are refused', async () => {
    await start();
    const busy = await connect();
    busy.send('echo/slow', { ms: 300 });
    busy.sendRaw(Buffer.of(4, 0, 0, 0));
    await received(busy, 1);
    const raw = connectPlain({ port: bench.tcpPort, host: '127.0.0.1' });
    await once(raw, 'connect');
    const stopping = bench.cluster.gate.app.close();
    await waitUntil('the gate to drain', () => !bench.gate.isReady);
    const late = connectTls({ socket: raw, ca: certificates.read(server.certFile), host: '127.0.0.1' });
    late.on('error', () => undefined);
    const got: Buffer[] = [];
    late.on('data', data => got.push(data));
    late.write(Buffer.of(4, 0, 0, 0));
    await once(late, 'close');
    expect(got).toEqual([]);
    expect(bench.counters.get('handshakes_refused', 'draining')).toBe(1);
    await busy.push('echo/slow');
    await stopping;
  });

  it('over the limit per address are refused before their handshake, and counted once', async () => {
    await start({ maxConnectionsPerIp: 1 });
    const client = await connect();
    for (let n = 1; n <= 3; n++) {
      await expect(connect()).rejects.toThrow();
      expect(bench.counters.get('handshakes_refused', 429)).toBe(n);
    }
    client.send('echo/echo', 'here');
    await client.push('echo/echo');
    expect(bench.counters.get('handshakes_refused', 'tls')).toBe(0);
  });

  it('need a certificate of the authority when there is one', async () => {
    const member = certificates.make('member');
    await start({ tls: { ...server, caFile: member.certFile } });
    const own = { cert: certificates.read(member.certFile), key: certificates.read(member.keyFile) };
    const client = await connect({}, own);
    client.send('echo/echo', 'member');
    await client.push('echo/echo');
    const foreign = { cert: certificates.read(server.certFile), key: certificates.read(server.keyFile) };
    for (const tls of [{}, foreign]) {
      // With TLS 1.3 a client is told only after it has taken the handshake for done.
      const refused = await connect({}, tls);
      refused.send('echo/echo', 'nobody');
      await refused.closed;
      expect(refused.messages).toEqual([]);
    }
    expect(bench.counters.get('handshakes_refused', 'tls')).toBe(2);
  });
});
