import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller } from '@nestjs/common';
import type { GateOptions } from '@nestgate/gate';
import { createTestCluster, type FakeClientOptions, type TestCluster, UpgradeRefused } from '@nestgate/testing';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';

@Controller()
class AddressTopics {
  @OnTopic('address/get')
  get(@ClientSession() session: Session) {
    return session.ip;
  }
}

describe('what a request says of where it comes from', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  const start = async (gate: GateOptions) => {
    cluster = await createTestCluster({ handlers: { controllers: [AddressTopics] }, gate });
  };
  /** Headers as they are sent: a list is a header as often as it has entries. */
  const connect = (headers: Record<string, string | string[]>) =>
    cluster.connect({ headers: headers as NonNullable<FakeClientOptions['headers']> });
  const addressVia = async (forwarded: string | string[]) =>
    (await connect({ 'x-forwarded-for': forwarded })).request('address/get');

  it('is taken from the last of several headers, past trusted proxies only', async () => {
    await start({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
    expect(await addressVia(['203.0.113.1', '203.0.113.2'])).toBe('203.0.113.2');
    expect(await addressVia(['203.0.113.1, 203.0.113.2', '10.0.0.1'])).toBe('203.0.113.2');
    expect(await addressVia(['203.0.113.1', 'nonsense', '10.0.0.1'])).toBe('10.0.0.1');
    expect(await addressVia('203.0.113.1, 203.0.113.2:80')).toBe('203.0.113.2');
    expect(await addressVia('203.0.113.1, 203.0.113.2:80:1')).toBe('127.0.0.1');
    expect(await addressVia(',,,')).toBe('127.0.0.1');
    expect(await addressVia(`${'203.0.113.1,'.repeat(300)}203.0.113.9`)).toBe('203.0.113.9');
  });

  it('is believed of nobody else, whatever header it stands in', async () => {
    await start({ trustedProxies: ['192.0.2.1'] });
    const claims = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'cf-connecting-ip', 'true-client-ip', 'x-client-ip'];
    for (const header of claims) {
      expect(await (await connect({ [header]: 'for=203.0.113.1' })).request('address/get')).toBe('127.0.0.1');
      expect(await (await connect({ [header]: '203.0.113.1' })).request('address/get')).toBe('127.0.0.1');
    }
  });

  it('counts the addresses of an IPv6 network as one', async () => {
    await start({ trustedProxies: ['127.0.0.1'], maxConnectionsPerIp: 1 });
    expect(await addressVia('2001:db8:0:7::1')).toBe('2001:db8:0:7::1');
    await expect(addressVia('2001:db8:0:7:ffff::2')).rejects.toMatchObject(new UpgradeRefused(429));
    expect(await addressVia('2001:db8:0:8::1')).toBe('2001:db8:0:8::1');
  });

  it('must be one origin, and one that is allowed', async () => {
    await start({ ws: { origins: ['https://app.example', 'https://[2001:db8::7]:8443'] } });
    const own = `http://127.0.0.1:${cluster.gate.port}`;
    for (const origin of [own, 'https://app.example', 'http://app.example:80', 'https://[2001:db8::7]:8443']) {
      expect((await connect({ origin })).closedWith).toBeUndefined();
    }
    const foreign = [
      ['https://app.example', 'https://app.example'],
      ['https://app.example', 'https://evil.example'],
      'null',
      '',
      'https://app.example.evil.example',
      'https://evilapp.example',
      'https://app.example:8443',
      'https://app.example@evil.example',
      'https://[2001:db8::7]',
      'http://127.0.0.1',
      'http://localhost',
    ];
    for (const origin of foreign) {
      await expect(connect({ origin })).rejects.toMatchObject(new UpgradeRefused(403));
    }
  });
});
