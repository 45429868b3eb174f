import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';
import { dialTestNetwork, testNetworkOptions } from './test-network.js';

describe('the network of the tests', () => {
  const before = process.env['NESTGATE_TEST_NETWORK'];
  let server: WebSocketServer;
  let port: number;
  let url: string;

  beforeEach(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
    url = `ws://127.0.0.1:${port}/`;
    server.on('connection', (socket, { headers: { host } }) => {
      socket.send(String(host));
      socket.on('message', data => socket.send(data as Buffer));
    });
  });
  afterEach(async () => {
    if (before === undefined) delete process.env['NESTGATE_TEST_NETWORK'];
    else process.env['NESTGATE_TEST_NETWORK'] = before;
    for (const client of server.clients) client.terminate();
    await new Promise(resolve => server.close(resolve));
  });

  it('is loopback unless told otherwise', async () => {
    process.env['NESTGATE_TEST_NETWORK'] = '';
    const options = { perMessageDeflate: false };
    expect(await testNetworkOptions(url, options)).toBe(options);
    const socket = await dialTestNetwork(port, at => {
      expect(at).toBe(port);
      return connect(at, '127.0.0.1');
    });
    socket.destroy();
    process.env['NESTGATE_TEST_NETWORK'] = 'slow';
    await expect(testNetworkOptions(url, {})).rejects.toThrow('NESTGATE_TEST_NETWORK=slow is not allowed');
  });

  it('takes 20 ms each way, and leaves the Host header alone', async () => {
    process.env['NESTGATE_TEST_NETWORK'] = 'delayed';
    const socket = new WebSocket(url, await testNetworkOptions(url, {}));
    const [host] = (await once(socket, 'message')) as [Buffer];
    expect(host.toString()).toBe(`127.0.0.1:${port}`);
    const askedAt = performance.now();
    socket.send('ping');
    await once(socket, 'message');
    expect(performance.now() - askedAt).toBeGreaterThanOrEqual(39);
    socket.close();
    await once(socket, 'close');
  });

  it('is not in the way of a client that says how it connects', async () => {
    process.env['NESTGATE_TEST_NETWORK'] = 'delayed';
    const options = { localAddress: '127.0.0.2' };
    expect(await testNetworkOptions(url, options)).toBe(options);
  });

  it('hands on what a client has sent before it ended', async () => {
    process.env['NESTGATE_TEST_NETWORK'] = 'delayed';
    const socket = new WebSocket(url, await testNetworkOptions(url, {}));
    await once(socket, 'message');
    const [peer] = server.clients;
    const arrived = once(peer as WebSocket, 'message');
    socket.send('last words');
    socket.terminate();
    expect(String((await arrived)[0])).toBe('last words');
  });
});
