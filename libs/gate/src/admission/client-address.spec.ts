import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { clientAddress, compileProxies, countedBy } from './client-address.js';

const nobody = compileProxies([]);
const proxies = compileProxies(['10.0.0.0/8', '192.0.2.1', '2001:db8::/32', '::1']);

describe('clientAddress', () => {
  it('is the address of the socket, whatever the headers say', () => {
    expect(clientAddress('203.0.113.9', undefined, nobody)).toBe('203.0.113.9');
    expect(clientAddress('203.0.113.9', '1.2.3.4', nobody)).toBe('203.0.113.9');
    expect(clientAddress('203.0.113.9', '1.2.3.4', proxies)).toBe('203.0.113.9');
    expect(clientAddress('2001:db9::1', '1.2.3.4', proxies)).toBe('2001:db9::1');
  });

  it('is the last one in front of the trusted proxies', () => {
    expect(clientAddress('10.1.2.3', '203.0.113.9', proxies)).toBe('203.0.113.9');
    expect(clientAddress('10.1.2.3', '6.6.6.6, 203.0.113.9', proxies)).toBe('203.0.113.9');
    expect(clientAddress('10.1.2.3', '6.6.6.6, 203.0.113.9 ,192.0.2.1,  10.9.9.9', proxies)).toBe('203.0.113.9');
    expect(clientAddress('2001:db8:1::1', '2001:db9::7', proxies)).toBe('2001:db9::7');
    expect(clientAddress('::1', '203.0.113.9', proxies)).toBe('203.0.113.9');
  });

  it('is the proxy itself when it names nobody', () => {
    expect(clientAddress('10.1.2.3', undefined, proxies)).toBe('10.1.2.3');
    expect(clientAddress('10.1.2.3', '', proxies)).toBe('10.1.2.3');
    expect(clientAddress('10.1.2.3', '10.4.4.4', proxies)).toBe('10.4.4.4');
  });

  it.each([
    'unknown',
    '_hidden',
    '203.0.113.9:',
    '203.0.113.9:80:80',
    '203.0.113.9:x',
    '203.0.113.9:123456',
    '[203.0.113.9]:80',
    '[2001:db9::7',
    '[2001:db9::7]80',
    '2001:db9::7]:80',
    '[]:80',
    '0313.0.113.9',
    '0xcb.0.113.9',
    '999.1.1.1',
    '203.0.113',
    ' ',
    'a'.repeat(5_000),
  ])('does not go past what is no address: %j', hop => {
    expect(clientAddress('10.1.2.3', `6.6.6.6, ${hop}`, proxies)).toBe('10.1.2.3');
    expect(clientAddress('10.1.2.3', `6.6.6.6, ${hop}, 10.4.4.4`, proxies)).toBe('10.4.4.4');
  });

  it.each([
    ['203.0.113.9:80', '203.0.113.9'],
    ['203.0.113.9:65535', '203.0.113.9'],
    ['[2001:db9::7]:80', '2001:db9::7'],
    ['[2001:db9::7]', '2001:db9::7'],
    ['[::ffff:203.0.113.9]:80', '203.0.113.9'],
    ['::ffff:cb00:7109', '203.0.113.9'],
    ['::203.0.113.9', '::203.0.113.9'],
  ])('leaves the port of %j out', (hop, address) => {
    expect(clientAddress('10.1.2.3', `6.6.6.6, ${hop}`, proxies)).toBe(address);
    expect(clientAddress('10.1.2.3', `6.6.6.6, ${hop}, 10.4.4.4:99, [2001:db8::9]:1`, proxies)).toBe(address);
  });

  it('takes an IPv4 address over IPv6 for what it is', () => {
    expect(clientAddress('::ffff:203.0.113.9', undefined, nobody)).toBe('203.0.113.9');
    expect(clientAddress('::ffff:10.1.2.3', '::ffff:203.0.113.9', proxies)).toBe('203.0.113.9');
  });

  it('follows 16 hops, and no more', () => {
    const hops = (count: number) => ['203.0.113.9', ...Array.from({ length: count }, () => '10.4.4.4')].join(',');
    expect(clientAddress('10.1.2.3', hops(15), proxies)).toBe('203.0.113.9');
    expect(clientAddress('10.1.2.3', hops(16), proxies)).toBe('10.4.4.4');
    expect(clientAddress('10.1.2.3', hops(100_000), proxies)).toBe('10.4.4.4');
  });

  it('copes with a socket that is gone, and with the zone of a link-local one', () => {
    expect(clientAddress(undefined, '1.2.3.4', proxies)).toBe('');
    expect(clientAddress('', '1.2.3.4', compileProxies(['loopback', '0.0.0.0/0']))).toBe('');
    expect(clientAddress('fe80::1%eth0', '1.2.3.4', compileProxies(['fe80::/10']))).toBe('1.2.3.4');
    expect(clientAddress('fe80::1%eth0', '1.2.3.4', proxies)).toBe('fe80::1%eth0');
  });

  it('is behind a Unix socket what the proxy says, when that is trusted', () => {
    const unix = compileProxies(['unix']);
    expect(clientAddress(undefined, '1.2.3.4', unix)).toBe('1.2.3.4');
    expect(clientAddress('', '6.6.6.6, 1.2.3.4:5', unix)).toBe('1.2.3.4');
    expect(clientAddress('', undefined, unix)).toBe('');
    expect(clientAddress('', 'nonsense', unix)).toBe('');
    expect(clientAddress('9.9.9.9', '1.2.3.4', unix)).toBe('9.9.9.9');
  });

  it('never throws, and never believes who is not trusted', () => {
    const anything = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.constantFrom('10.0.0.1', ',', '::ffff:', '%'));
    fc.assert(
      fc.property(fc.array(anything), fc.oneof(fc.ipV4(), fc.ipV6()), (hops, address) => {
        clientAddress('10.0.0.1', hops.join(','), proxies);
        expect(clientAddress(address, hops.join(','), nobody)).toBe(plainOf(address));
      }),
    );
  });
});

describe('countedBy', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['', ''],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1:2:3:4', '2001:db8:0:0::/64'],
    ['2001:db8:1::3:4:5:6', '2001:db8:1:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::203.0.113.9', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:203.0.113.9', '1:2:3:4::/64'],
  ])('is of %j: %j', (address, network) => {
    expect(countedBy(address)).toBe(network);
  });

  it('is one for all addresses of a network, however they are written, and another one for the next', () => {
    const part = fc.nat(0xffff).map(value => value.toString(16));
    const parts = fc.array(part, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(parts, parts, parts, (network, one, other) => {
        const same = [[...network, ...one].join(':'), [...network, ...other].join(':').toUpperCase()];
        expect(new Set(same.map(countedBy)).size).toBe(1);
        const next = [...network.slice(0, 3), ((Number.parseInt(network[3] as string, 16) + 1) % 0x10000).toString(16)];
        expect(countedBy([...next, ...one].join(':'))).not.toBe(countedBy(same[0] as string));
      }),
    );
  });
});

describe('compileProxies', () => {
  it.each([
    '',
    'localhost',
    'Loopback',
    'toString',
    '0x7f.1',
    '::/999',
    '10.0.0.0/33',
    '2001:db8::/129',
    '10.0.0.0/',
    '10.0.0/8',
    '10.0.0.0/-1',
    '*',
    '1.2.3.4 ',
  ])('refuses %j, naming it', entry => {
    expect(() => compileProxies(['10.0.0.0/8', entry])).toThrow(
      expect.objectContaining({ code: 'BAD_ARGUMENT', message: expect.stringContaining(JSON.stringify(entry)) }),
    );
  });

  it('knows the words of Express', () => {
    const words = compileProxies(['loopback', 'linklocal', 'uniquelocal']);
    for (const proxy of [
      '127.9.9.9',
      '::1',
      '169.254.1.1',
      'fe80::1',
      '10.1.1.1',
      '172.31.0.1',
      '192.168.0.1',
      'fd00::1',
    ]) {
      expect([proxy, clientAddress(proxy, '203.0.113.9', words)]).toEqual([proxy, '203.0.113.9']);
    }
    for (const other of ['128.0.0.1', '::2', '172.32.0.1', '2001:db8::1']) {
      expect(clientAddress(other, '203.0.113.9', words)).toBe(other);
    }
  });

  it('takes a range of IPv4 that is written as IPv6', () => {
    const mapped = compileProxies(['::ffff:10.0.0.0/104']);
    expect(clientAddress('10.1.2.3', '203.0.113.9', mapped)).toBe('203.0.113.9');
    expect(clientAddress('11.1.2.3', '203.0.113.9', mapped)).toBe('11.1.2.3');
  });

  it('takes whole networks of both families', () => {
    const all = compileProxies(['0.0.0.0/0', '::/0']);
    expect(clientAddress('1.1.1.1', '9.9.9.9, 8.8.8.8', all)).toBe('9.9.9.9');
    expect(clientAddress('2001::1', '9.9.9.9, 2001::2', all)).toBe('9.9.9.9');
  });
});

function plainOf(address: string): string {
  const mapped = new URL(`http://${address.includes(':') ? `[${address}]` : address}`).hostname;
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(mapped) ?? [];
  if (high === undefined || low === undefined) return address;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}
