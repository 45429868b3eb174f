import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Body, Controller, HttpCode, type INestApplication, Param, Post } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { GatewayApi } from '@nestgate/worker';
import { GatewayCluster, type PushClient } from './support/gateway-cluster-support.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

@Controller('users')
class NewsController {
  constructor(private readonly gateway: GatewayApi) {}

  @Post(':uid/news')
  @HttpCode(202)
  async tell(@Param('uid') uid: string, @Body() news: unknown) {
    return this.gateway.sendToUid(uid, 'news/new', news, { confirm: true });
  }

  @Post(':uid/quiet')
  async tellQuietly(@Param('uid') uid: string, @Body() news: unknown) {
    await this.gateway.sendToUid(uid, 'news/new', news);
    return { online: await this.gateway.isUidOnline(uid) };
  }

  @Post('current')
  current() {
    return this.gateway.sendToCurrentClient('news/new').catch((error: { code: string }) => error.code);
  }
}

describe.each(LINKS)('an HTTP service over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: GatewayCluster;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
  });
  afterAll(() => links.close());
  afterEach(() => cluster.close());

  async function post(app: INestApplication, path: string, body: unknown): Promise<{ status: number; body: unknown }> {
    const { port } = app.getHttpServer().address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text && text[0] === '{' ? JSON.parse(text) : text };
  }

  it('reaches clients on all gates', async () => {
    cluster = await GatewayCluster.open(links);
    const clients: PushClient[] = [];
    for (const gate of [0, 1, 2, 2]) clients.push(await cluster.connect(gate));
    const last = clients[3] as PushClient;
    await cluster.api.bindUid(last.clientId, 'eve');
    await cluster.api.bindUid(clients.map(client => client.clientId).slice(0, 3), 'ada');
    const service = await cluster.startService({ controllers: [NewsController] });
    // There is no list of who is on NATS: gates are known when they have answered the newcomer.
    if (name === 'nats') await cluster.met(service.get(LinkNode));
    expect(await post(service, '/users/eve/news', { n: 1 })).toEqual({ status: 202, body: { delivered: 1 } });
    expect(await post(service, '/users/ada/news', { n: 2 })).toEqual({ status: 202, body: { delivered: 3 } });
    expect(await post(service, '/users/eve/quiet', { n: 3 })).toEqual({ status: 201, body: { online: true } });
    expect(await post(service, '/users/bob/quiet', { n: 4 })).toEqual({ status: 201, body: { online: false } });
    await cluster.api.sendToAll('news/end', 'end');
    const bodies = await Promise.all(clients.map(client => client.until('news/end', 'end')));
    const [, , , eve] = bodies.map(frames => frames.map(frame => frame.body));
    expect(eve).toEqual([{ n: 1 }, { n: 3 }]);
    expect(bodies.slice(0, 3).map(frames => frames.map(frame => frame.body))).toEqual([
      [{ n: 2 }],
      [{ n: 2 }],
      [{ n: 2 }],
    ]);
  });

  it('has no current client', async () => {
    cluster = await GatewayCluster.open(links, { gates: 1 });
    const service = await cluster.startService({ controllers: [NewsController] });
    expect((await post(service, '/users/current', {})).body).toBe('NO_CURRENT_CLIENT');
  });
});
