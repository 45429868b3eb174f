import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HandlersModule } from '@nestgate-app/handlers';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { resetRawSockets, RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { RawClient, textFrame, wsFrame } from '../support/raw-websocket.js';
import { ENDINGS, FRAMES, HANDSHAKES } from './support/ws-rfc-cases.js';

describe('RFC 6455', () => {
  let cluster: TestCluster;
  let port: number;

  beforeAll(async () => {
    cluster = await createTestCluster({
      handlers: { imports: [HandlersModule] },
      gate: { maxConnectionsPerIp: 0, messageRate: 0 },
    });
    ({ port } = cluster.gate);
  });

  afterAll(async () => {
    resetRawSockets();
    await cluster.close();
  });

  it.each(HANDSHAKES)('%s: a handshake with %s', async (_section, _name, request, status, headers = {}) => {
    const socket = await RawSocket.open(port);
    socket.send(upgradeRequest(request));
    expect(await socket.answer()).toBe(status);
    const [head = ''] = socket.received.toString('latin1').split('\r\n\r\n', 1);
    const found = new Map<string, string>();
    for (const line of head.split('\r\n').slice(1)) {
      const colon = line.indexOf(':');
      found.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    for (const [name, value] of Object.entries(headers)) expect([name, found.get(name)]).toEqual([name, value]);
    if (found.get('connection')?.includes('close')) await waitUntil('the end', () => socket.ended);
    socket.reset();
  });

  it.each(FRAMES)('%s: %s', async (_section, _name, bytes, outcome) => {
    const client = await RawClient.connect(port);
    client.send(bytes);
    if (outcome === 'answered') {
      await client.sync();
      expect(client.closeCode).toBeUndefined();
    } else {
      expect(await client.closed()).toBe(outcome);
      expect(client.framesAfterClose).toBe(0);
    }
    client.socket.reset();
  });

  it.each(FRAMES)('%s: %s, byte by byte or in small parts', async (_section, _name, bytes, outcome) => {
    const client = await RawClient.connect(port);
    const step = Math.max(1, Math.floor(bytes.length / 40));
    for (let at = 0; at < bytes.length; at += step) {
      client.send(bytes.subarray(at, at + step));
      await new Promise(resolve => setImmediate(resolve));
    }
    if (outcome === 'answered') await client.sync();
    else expect(await client.closed()).toBe(outcome);
    client.socket.reset();
  });

  it('5.5.2: a pong has the payload of its ping, and comes in order', async () => {
    const client = await RawClient.connect(port);
    client.send(Buffer.concat(['a', 'x'.repeat(125), ''].map(payload => wsFrame({ opcode: 9, payload }))));
    await client.sync();
    expect(client.pongs).toEqual(['a', 'x'.repeat(125), '']);
    client.socket.reset();
  });

  it('10.4: the close frame for a message that is too large names the limit', async () => {
    const client = await cluster.connect();
    client.socket.send(JSON.stringify({ topic: 'echo/echo', body: 'x'.repeat(70_000) }));
    expect(await client.closed).toEqual({ code: 1009, reason: 'a message of more than 65535 bytes (maxPackSize)' });
  });

  const request = (id: number): Buffer => textFrame(`{"topic":"echo/echo","body":"x","id":${id}}`);

  it.each(ENDINGS)('a request is answered although %s follows in the same write', async (_name, bytes, code) => {
    const client = await RawClient.connect(port);
    client.send(Buffer.concat([request(1), request(2), bytes]));
    expect(await client.closed()).toBe(code);
    expect(client.frames.map(frame => frame.id)).toEqual([1, 2]);
    expect(client.framesAfterClose).toBe(0);
  });

  it.each(ENDINGS)('a client that ends its side at once, behind %s, gets a close frame', async (_name, bytes, code) => {
    const client = await RawClient.connect(port, { stubborn: true });
    client.socket.socket.end(Buffer.concat([request(1), bytes]));
    expect(await client.closed()).toBe(code);
    expect(client.framesAfterClose).toBe(0);
  });
});
