import { afterEach, describe, expect, it } from '@jest/globals';
import { ClientSession, OnTopic, Session } from '@nestgate/worker';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { Controller } from '@nestjs/common';

@Controller()
class IpTopics {
  @OnTopic('ip/get')
  get(@ClientSession() session: Session) {
    return session.ip;
  }
}

describe("a client's address", () => {
  let cluster: TestCluster;

  afterEach(() => cluster.close());

  const start = async (trustedProxies: string[], maxConnectionsPerIp = 0) => {
    cluster = await createTestCluster({
      handlers: { controllers: [IpTopics] },
      gate: { trustedProxies, maxConnectionsPerIp },
    });
  };

  const via = (forwarded: string) => cluster.connect({ headers: { 'x-forwarded-for': forwarded } });

  it('is what a trusted proxy says', async () => {
    await start(['127.0.0.0/8', '::1', '10.0.0.0/8']);
    expect(await (await via('203.0.113.7')).request('ip/get')).toBe('203.0.113.7');
    expect(await (await via('2001:db8::7, 10.1.2.3')).request('ip/get')).toBe('2001:db8::7');
  });

  it('is not what the client itself put before that', async () => {
    await start(['127.0.0.1']);
    expect(await (await via('198.51.100.1, 203.0.113.7')).request('ip/get')).toBe('203.0.113.7');
  });

  it.each(['203.0.113.7', 'nonsense', ''])(
    'is the socket’s own without a trusted proxy, whatever it claims (%j)',
    async claim => {
      await start([]);
      expect(await (await via(claim)).request('ip/get')).toBe('127.0.0.1');
    },
  );

  it('is what connections are counted by', async () => {
    await start(['127.0.0.1'], 1);
    await via('203.0.113.7');
    await expect(via('203.0.113.7')).rejects.toMatchObject({ status: 429 });
    await via('203.0.113.8');
    // A proxy that names no client speaks for many of them.
    await cluster.connect();
    await cluster.connect();
  });
});
