import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isGateError, whenOnline } from '@nestgate/client';
import { createTestCluster, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import { ClientTopics, Clients, codeOf, inState } from './client-support.js';

const run = promisify(execFile);

describe('the client and a gate', () => {
  const clients = new Clients();
  let cluster: TestCluster;
  let url: string;

  beforeEach(async () => {
    cluster = await createTestCluster({ handlers: { controllers: [ClientTopics] } });
    ({ url } = cluster.gates[0]!);
  });

  afterEach(async () => {
    clients.close();
    await cluster.close();
  });

  it('connects, asks, is answered, and closes', async () => {
    const gate = clients.connect(url);
    await whenOnline(gate);
    expect(gate.clientId).not.toBe('');
    expect(await gate.request('echo/echo', { x: [1, 'ä'] })).toEqual({ x: [1, 'ä'] });
    const error = await gate.request('echo/fail').catch((thrown: unknown) => thrown);
    expect(isGateError(error, 'NOT_MEMBER')).toBe(true);
    expect(error).toMatchObject({ message: 'You are no member' });
    expect(await codeOf(gate.request('nobody/here'))).toBe('NO_ROUTE');
    expect(await codeOf(gate.request('echo/nothing'))).toBe('NO_HANDLER');
    expect(await codeOf(gate.request('echo/never', null, { timeoutMs: 50 }))).toBe('TIMEOUT');
    gate.close();
    expect(gate.state).toEqual({ name: 'idle' });
    await waitUntil('the gate to have no client', async () => (await cluster.api.getAllClientCount()) === 0);
  });

  it('gets pushes in order, and sends messages in order', async () => {
    const gate = clients.connect(url);
    for (let i = 0; i < 50; i++) gate.send('echo/note', i);
    await gate.request('room/join', 'lobby');
    const heard: unknown[] = [];
    gate.on('room/said', body => heard.push(body));
    for (let i = 0; i < 100; i++) await cluster.api.sendToGroup('lobby', 'room/said', i);
    await waitUntil('all pushes', () => heard.length === 100);
    expect(heard).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(cluster.gates[0]!.app.get(ClientTopics).noted).toEqual(Array.from({ length: 50 }, (_, i) => i));
    await cluster.api.sendToGroup('lobby', 'room/said', Buffer.of(1, 2, 255));
    await waitUntil('the bytes', () => heard.length === 101);
    expect(heard[100]).toEqual(Uint8Array.of(1, 2, 255));
  });

  it('reconnects after a cut, reports a gap, and sends waiting messages', async () => {
    const relay = await TcpRelay.start(cluster.gates[0]!.port);
    try {
      const gate = clients.connect(`ws://127.0.0.1:${relay.port}/gate`);
      const events: unknown[] = [];
      gate.on('session', ({ isNew, why }) => events.push([isNew, why]));
      gate.on('gap', ({ n, why }) => events.push([n, why]));
      await whenOnline(gate);
      const lost = codeOf(gate.request('echo/never'));
      await gate.request('echo/echo');
      relay.cut();
      expect(await lost).toBe('CONNECTION_LOST');
      const waiting = gate.request('echo/echo', 'waited');
      expect(await waiting).toBe('waited');
      expect(events).toEqual([
        [true, 'first'],
        [true, 'reconnected'],
        [null, 'reconnected'],
      ]);
    } finally {
      await relay.end();
    }
  });

  it('ends with the close code of the application', async () => {
    const gate = clients.connect(url);
    const heard: unknown[] = [];
    gate.on('room/closing', body => heard.push(body));
    gate.send('room/close', 'bye');
    expect(await inState(gate, 'ended')).toMatchObject({ code: 4002, reason: 'closed by the application' });
    expect(heard).toEqual(['bye']);
  });

  it('is refused with the reason, where sockets show it: twice 403 ends the client', async () => {
    const gate = clients.connect(url, { socketOptions: { headers: { Origin: 'http://elsewhere.test' } } });
    expect(await inState(gate, 'ended')).toMatchObject({ code: 403 });
    expect(gate.stats).toMatchObject({ attempts: 2, connections: 0 });
  });

  it('lets a process end that has closed it', async () => {
    const code = `
      import { connect } from '@nestgate/client';
      import { WebSocket } from 'ws';
      const gate = connect('${url}', { WebSocket: globalThis.WebSocket ?? WebSocket });
      console.log(await gate.request('echo/echo', 'hi'));
      gate.close();`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000 });
    expect(stdout).toBe('hi\n');
  });

  it('waits as long as a gate without a port needs', async () => {
    const relay = await TcpRelay.start(1);
    try {
      const gate = clients.connect(`ws://127.0.0.1:${relay.port}/gate`);
      await inState(gate, 'waiting');
      relay.redirect(cluster.gates[0]!.port);
      expect(await gate.request('echo/echo', 1)).toBe(1);
    } finally {
      await relay.end();
    }
  });
});
