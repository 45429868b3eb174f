import { describe, expect, it } from '@jest/globals';
import { isLoopback, parseTcpUrl } from './tcp-address.js';

/** The message of the error that parsing must end with. */
function errorOf(url: string): string {
  try {
    parseTcpUrl(url);
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_ARGUMENT' });
    return (error as Error).message;
  }
  throw new Error(`${url} was taken`);
}

describe('parseTcpUrl', () => {
  it('reads addresses and peers', () => {
    expect(parseTcpUrl('tcp://127.0.0.1:7400')).toEqual({
      addresses: [{ host: '127.0.0.1', port: 7400 }],
      peers: [],
      tls: undefined,
    });
    expect(parseTcpUrl('tcp://[::1]:1,gates.svc:2/?peers=a:3,[::2]:4')).toEqual({
      addresses: [
        { host: '::1', port: 1 },
        { host: 'gates.svc', port: 2 },
      ],
      peers: [
        { host: 'a', port: 3 },
        { host: '::2', port: 4 },
      ],
      tls: undefined,
    });
    expect(parseTcpUrl('tcp://a:1?peers=').peers).toEqual([]);
  });

  it('reads the files of TLS, whose names may hold anything', () => {
    expect(parseTcpUrl('tcp://a:1?peers=b:2&cert=/c+1.pem&key=/k%26%25.pem&ca=/ca%20x').tls).toEqual({
      certFile: '/c+1.pem',
      keyFile: '/k&%.pem',
      caFile: '/ca x',
      checkHost: false,
    });
    expect(parseTcpUrl('tcp://a:1?cert=c&key=k&ca=a&checkHost=true').tls).toMatchObject({ checkHost: true });
  });

  it.each([
    'tcp://',
    'tcp://a',
    'tcp://a:70000',
    'tcp://a:1,',
    'tcp://a b:1',
    'tcp://::1:1',
    'tcp://a:1#x',
    'tcp://a:1/path',
    'tls://a:1',
    'tcp://a:1?peers=b',
    'tcp://a:1?cert=c&key=k&ca=%zz',
    'tcp://a:1?cert=c&key=k&ca=a&checkHost=yes',
  ])('refuses %j, and says what is allowed', url => {
    const message = errorOf(url);
    expect(message).toContain(JSON.stringify(url));
    expect(message).toContain('allowed: tcp://host:port');
  });

  it.each(['peer', 'Cert', 'secret', ''])('refuses the query key %j, and names those that there are', key => {
    const message = errorOf(`tcp://a:1?peers=b:2&${key}=x`);
    expect(message).toContain(`${JSON.stringify(key)} is not allowed`);
    expect(message).toContain('allowed: peers, cert, key, ca, checkHost');
  });

  it('refuses a key that stands there twice', () => {
    expect(errorOf('tcp://a:1?peers=b:2&peers=c:3')).toContain('"peers" stands twice');
  });

  it.each([
    ['cert', 'key=k&ca=a'],
    ['key', 'cert=c&ca=a'],
    ['ca', 'cert=c&key=k'],
    ['ca', 'cert=c&key=k&ca='],
    ['cert', 'checkHost=true'],
  ])('misses %s in %s', (missing, query) => {
    expect(errorOf(`tcp://a:1?${query}`)).toContain(`needs a file for ${missing}`);
  });
});

describe('isLoopback', () => {
  it.each(['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LOCALHOST'])('%s', host => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each(['0.0.0.0', '::', '10.0.0.1', '127.example.com', '127.0.0.1.example.com', 'localhost.example.com'])(
    'not %s',
    host => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
