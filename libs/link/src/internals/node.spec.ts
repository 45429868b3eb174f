import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findReadFields, handleOf, learnWriteRequest, nodeFault, takenBytes } from './node.js';

describe('the parts of the installed Node', () => {
  let server: Server;
  let socket: Socket;
  let peer: Socket;

  beforeEach(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    peer = connect((server.address() as AddressInfo).port, '127.0.0.1');
    [socket] = await accepted;
  });
  afterEach(() => {
    peer.destroy();
    socket.destroy();
    server.close();
  });

  it('are there', () => {
    expect(nodeFault(server)).toBeUndefined();
    expect(findReadFields()).toEqual({ buffer: expect.any(Symbol), callback: expect.any(Symbol) });
  });

  it('are those of the handles of sockets too', () => {
    const handle = handleOf(socket);
    expect(handle).toMatchObject({
      useUserBuffer: expect.any(Function),
      writeBuffer: expect.any(Function),
      bytesWritten: 0,
      writeQueueSize: 0,
    });
  });

  it('write with a request that can be learned', async () => {
    const handle = handleOf(socket);
    if (!handle) throw new Error('no handle');
    const received = once(peer, 'data');
    const found = learnWriteRequest(socket, handle, Buffer.from('abc'));
    expect(found).not.toBe('unknown');
    expect(String(((await received) as [Buffer])[0])).toBe('abc');
    expect(Object.hasOwn(handle, 'writeBuffer')).toBe(false);
    expect(takenBytes(socket)).toBe(3);
  });

  it.each(['useUserBuffer', 'writeBuffer', 'bytesWritten', 'writeQueueSize'])('are named when missing: %s', part => {
    const handle: object = handleOf(server as never) as never;
    Object.defineProperty(handle, part, { value: undefined, configurable: true });
    try {
      expect(nodeFault(server)).toMatch(`Socket._handle.${part} is no `);
    } finally {
      Reflect.deleteProperty(handle, part);
    }
  });

  it('are not looked for in a server without a handle of its own', () => {
    expect(nodeFault(createServer())).toBeUndefined();
  });
});
