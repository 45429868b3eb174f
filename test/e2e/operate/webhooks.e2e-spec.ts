import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, type DynamicModule, Injectable, Logger, Module } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { createTestCluster, freePort, type TestCluster, waitUntil } from '@nestgate/testing';
import { OnTopic, WebhookMetrics, WebhookModule, type WebhookOptions } from '@nestgate/worker';

const KEY = Buffer.alloc(32, 7);
const SECRET = `whsec_${KEY.toString('base64')}`;
/** Paces that clients notice. */
const SLOW_MS = 1_000;

interface Event {
  readonly event: string;
  readonly id: string;
  readonly topic: string;
  readonly body: unknown;
  readonly session: { readonly clientId: string; readonly uid: string; readonly settings: object };
  readonly request?: { readonly query: Readonly<Record<string, string>>; readonly headers: object };
  readonly code: number;
}

type Respond = (
  event: Event,
) => { readonly status?: number; readonly body?: unknown; readonly text?: string } | undefined;

/** An application behind HTTP that checks signatures. */
class Endpoint {
  readonly events: Event[] = [];
  readonly faults: string[] = [];
  respond: Respond = () => ({ body: {} });
  private server: Server | undefined;

  constructor(readonly port: number) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  async listen(): Promise<this> {
    const server = createServer((request, response) => {
      void (async () => {
        let text = '';
        for await (const part of request) text += String(part);
        const fault = faultOf(request, text);
        if (fault !== undefined) this.faults.push(fault);
        const event = JSON.parse(text) as Event;
        this.events.push(event);
        const answer = this.respond(event);
        if (!answer) return;
        response.writeHead(answer.status ?? 200, answer.status === 302 ? { location: this.url } : {});
        response.end(answer.text ?? (answer.body === undefined ? '' : JSON.stringify(answer.body)));
      })();
    });
    await new Promise<void>(resolve => server.listen(this.port, '127.0.0.1', resolve));
    this.server = server;
    return this;
  }

  async close(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }

  of(event: string): Event[] {
    return this.events.filter(each => each.event === event);
  }
}

/** What a receiver has to check, as the specification says. */
function faultOf({ headers, method }: IncomingMessage, text: string): string | undefined {
  const [id, timestamp] = [String(headers['webhook-id']), Number(headers['webhook-timestamp'])];
  const expected = createHmac('sha256', KEY).update(`${id}.${timestamp}.${text}`).digest('base64');
  if (headers['webhook-signature'] !== `v1,${expected}`) return 'signature';
  if (Math.abs(Date.now() / 1_000 - timestamp) > 5) return 'timestamp';
  if ((JSON.parse(text) as Event).id !== id) return 'id';
  return method === 'POST' && headers['content-type'] === 'application/json' ? undefined : 'request';
}

@Controller()
class OwnTopics {
  @OnTopic('own/echo')
  echo(@Payload() body: unknown): unknown {
    return body;
  }
}

describe('WebhookModule', () => {
  let cluster: TestCluster;
  let endpoint: Endpoint;
  afterEach(async () => {
    jest.restoreAllMocks();
    await cluster.close();
    await endpoint.close();
  });

  const start = (options: Partial<WebhookOptions> = {}): Promise<WebhookMetrics> =>
    startWith(WebhookModule.forRoot({ endpoints: [{ url: endpoint.url, secret: SECRET, ...options }] }));

  async function startWith(hook: DynamicModule): Promise<WebhookMetrics> {
    cluster = await createTestCluster({
      gates: 2,
      workers: 1,
      handlers: { controllers: [OwnTopics], imports: [hook] },
      gate: { maxConnectionsPerIp: 0, maxConnectionRate: 0, messageRate: 0 },
    });
    const [worker] = cluster.workers;
    if (!worker) throw new Error('There is no worker');
    return worker.app.get(WebhookMetrics, { strict: false });
  }
  const fresh = async (): Promise<Endpoint> => (endpoint = await new Endpoint(await freePort()).listen());

  it('asks who may connect: binds, joins and sets, or refuses', async () => {
    await fresh();
    endpoint.respond = ({ request }) => {
      const as = request?.query['as'];
      if (as === 'none') return { status: 401, body: { error: { message: 'no ticket' } } };
      if (as === 'banned') return { body: { error: { code: 'FORBIDDEN', message: 'banned' } } };
      if (as === undefined) return { text: '' };
      return { body: { uid: as, groups: ['room', 'hall'], settings: { plan: 'gold', n: [1] } } };
    };
    const metrics = await start({ events: ['connect', 'disconnect'] });
    const client = await cluster.connect({ gate: 1, path: '?as=ann' });
    expect(await cluster.api.getUidByClientId(client.clientId)).toBe('ann');
    expect(await cluster.api.getClientIdListByGroup('hall')).toEqual([client.clientId]);
    expect(await cluster.api.getSession(client.clientId)).toMatchObject({ plan: 'gold', n: [1] });
    const guest = await cluster.connect({ gate: 0 });
    expect(await cluster.api.getUidByClientId(guest.clientId)).toBeNull();
    for (const [as, reason] of [
      ['none', 'no ticket'],
      ['banned', 'banned'],
    ] as const) {
      const refused = await cluster.connect({ gate: 0, path: `?as=${as}`, awaitHello: false });
      expect(await refused.closed).toMatchObject({ code: 1008, reason });
    }
    await client.close();
    await waitUntil('all ends to be answered', () => metrics.snapshot().delivered['disconnect'] === 3);
    const end = endpoint.of('disconnect').find(({ session }) => session.uid === 'ann');
    expect(end).toMatchObject({ code: 1005, groups: ['room', 'hall'], session: { settings: { plan: 'gold' } } });
    expect(endpoint.faults).toEqual([]);
    expect(metrics.snapshot()).toMatchObject({
      delivered: { connect: 4, disconnect: 3 },
      queued: 0,
      inFlight: 0,
      failed: {},
    });
  });

  it('answers messages of its topics, with replies and errors, and no others', async () => {
    await fresh();
    endpoint.respond = ({ body }) => {
      const wish = body as { give?: object; status?: number; text?: string };
      return { status: wish.status, body: wish.give, text: wish.text };
    };
    await start({ topics: ['shop/order', 'shop/cancel'] });
    const client = await cluster.connect({ gate: 1 });
    const ask = (wish: object) => client.request('shop/order', wish);
    expect(await ask({ give: { reply: { n: 1, __proto__: null } } })).toEqual({ n: 1 });
    expect(await ask({ give: {} })).toBeNull();
    expect(await ask({ text: '' })).toBeNull();
    const error = { code: 'SOLD_OUT', message: 'none left', details: [{ path: 'n' }] };
    expect((await client.answer(client.ask('shop/order', { give: { error } }))).error).toEqual(error);
    await expect(ask({ status: 422, text: 'plain' })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    // Of no use: the client learns no more than that.
    for (const wish of [{ text: 'not JSON' }, { status: 500, text: 'stack trace' }, { status: 302, text: '' }]) {
      const { error: refused } = await client.answer(client.ask('shop/order', wish));
      expect(refused).toEqual({ code: 'NO_WORKER', message: 'The endpoint does not answer' });
    }
    await expect(ask({ text: '[1]' })).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(client.request('shop/other')).rejects.toMatchObject({ code: 'NO_HANDLER' });
    expect(await client.request('own/echo', 5)).toBe(5);
    const [first] = endpoint.events;
    expect(first).toMatchObject({
      event: 'message',
      topic: 'shop/order',
      session: { clientId: client.clientId, uid: '' },
    });
    expect(endpoint.events).toHaveLength(9);
    expect(endpoint.faults).toEqual([]);
  });

  it('takes options of a factory, with what other modules provide', async () => {
    await fresh();
    endpoint.respond = ({ body }) => ({ body: { reply: body } });
    await startWith(
      WebhookModule.forRootAsync({
        imports: [ConfigModule.at(endpoint.url)],
        inject: [Config],
        events: ['message', 'disconnect'],
        topics: ['shop/order', 'shop/cancel'],
        useFactory: ({ url }: Config) => ({
          endpoints: [
            { url, secret: SECRET, topics: ['shop/cancel'] },
            { url, secret: SECRET, topics: ['shop/order'], events: ['disconnect', 'message'] },
          ],
        }),
      }),
    );
    const client = await cluster.connect({ gate: 0 });
    expect(await client.request('shop/order', 1)).toBe(1);
    expect(await client.request('shop/cancel', 2)).toBe(2);
    await client.close();
    await waitUntil('its end', () => endpoint.of('disconnect').length === 1);
    expect(endpoint.faults).toEqual([]);
  });

  it('has bounds: an endpoint that is silent, or too slow for so many, holds up only those who ask it', async () => {
    await fresh();
    endpoint.respond = () => undefined;
    const metrics = await start({ topics: ['shop/order'], timeout: 300, maxConcurrent: 4 });
    const clients = await Promise.all(Array.from({ length: 10 }, () => cluster.connect({ gate: 0 })));
    const begun = performance.now();
    const outcomes = Promise.all(
      clients.map(client => client.request('shop/order').catch((error: { code: string }) => error.code)),
    );
    const neighbour = await cluster.connect({ gate: 0 });
    expect(await neighbour.request('own/echo', 1)).toBe(1);
    expect(await outcomes).toEqual(Array.from({ length: 10 }, () => 'NO_WORKER'));
    expect(performance.now() - begun).toBeLessThan(5_000);
    const { failed } = metrics.snapshot();
    expect(failed['timeout']).toBeGreaterThanOrEqual(4);
    expect((failed['timeout'] ?? 0) + (failed['busy'] ?? 0) + (failed['down'] ?? 0)).toBe(10);
    expect(failed['busy']).toBeGreaterThan(0);
  });

  it('down: messages fail at once, ends of clients wait within a bound, nothing is held up, and it is told', async () => {
    const errors = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const told = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    endpoint = new Endpoint(await freePort());
    const metrics = await start({ events: ['disconnect', 'message'], topics: ['shop/order'], maxQueue: 40 });
    const client = await cluster.connect({ gate: 0 });
    for (let n = 0; n < 20; n++) {
      const asked = performance.now();
      await expect(client.request('shop/order')).rejects.toMatchObject({ code: 'NO_WORKER' });
      expect(performance.now() - asked).toBeLessThan(SLOW_MS);
    }
    expect(metrics.snapshot().down).toBe(1);
    expect(metrics.snapshot().failed['down']).toBeGreaterThanOrEqual(10);
    expect(errors.mock.calls.filter(([line]) => /127\.0\.0\.1:\d+\/events is down: /.test(String(line)))).toHaveLength(
      1,
    );
    const leaving = await Promise.all(Array.from({ length: 60 }, (_each, n) => cluster.connect({ gate: n % 2 })));
    const ids = new Set(leaving.map(({ clientId }) => clientId));
    for (const each of leaving) each.socket.terminate();
    await waitUntil('all ends to be counted', () => {
      const { queued, dropped } = metrics.snapshot();
      return queued + (dropped['full'] ?? 0) === 60;
    });
    expect(metrics.snapshot()).toMatchObject({ queued: 40, dropped: { full: 20 } });
    expect(await client.request('own/echo', 2)).toBe(2);
    await endpoint.listen();
    await waitUntil('the ends to arrive', () => endpoint.of('disconnect').length >= 40, 60_000);
    await waitUntil('the queue to be empty', () => metrics.snapshot().queued === 0);
    const arrived = endpoint.of('disconnect').map(({ session }) => session.clientId);
    expect(new Set(arrived).size).toBe(40);
    expect(arrived.filter(id => !ids.has(id))).toEqual([]);
    expect(endpoint.faults).toEqual([]);
    expect(await client.request('shop/order')).toBeNull();
    expect(metrics.snapshot().down).toBe(0);
    expect(told.mock.calls.some(([line]) => String(line).includes('answers again'))).toBe(true);
  });

  it('down: a client that has to be asked for is refused with 1013, and comes in when it is back', async () => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    endpoint = new Endpoint(await freePort());
    await start({ events: ['connect'] });
    const refused = await cluster.connect({ gate: 0, awaitHello: false });
    expect((await refused.closed).code).toBe(1013);
    await endpoint.listen();
    expect((await cluster.connect({ gate: 0 })).clientId).toBeDefined();
  });
});

@Injectable()
class Config {
  url = '';
}

@Module({})
class ConfigModule {
  static at(url: string): DynamicModule {
    const config = Object.assign(new Config(), { url });
    return { module: ConfigModule, providers: [{ provide: Config, useValue: config }], exports: [Config] };
  }
}

describe('options of WebhookModule', () => {
  const good = { url: 'https://a.example/x?key=hunter2', secret: SECRET, topics: ['a/b'] };
  const of =
    (...endpoints: object[]) =>
    () =>
      WebhookModule.forRoot({ endpoints: endpoints as WebhookOptions[] });

  it('may be as the documentation says', () => {
    expect(of(good, { ...good, topics: ['a/c'], events: ['message', 'connect'] })).not.toThrow();
    expect(of({ ...good, secret: 'x'.repeat(24), maxQueue: 0, retryFor: 0 })).not.toThrow();
  });

  it.each<[endpoint: object, message: RegExp]>([
    [{ ...good, url: 'ftp://a.example' }, /endpoints\[0\]\.url must be an http or https URL/],
    [{ ...good, url: 'https://me:hunter2@a.example' }, /url must be/],
    [{ ...good, url: 'hunter2' }, /url must be/],
    [{ ...good, secret: 'hunter2' }, /secret must be "whsec_"/],
    [{ ...good, secret: 'whsec_hunter2' }, /secret must be/],
    [{ ...good, secret: `whsec_${'A'.repeat(2_000)}` }, /secret must be/],
    [{ ...good, secret: undefined }, /secret must be/],
    [{ ...good, topics: ['a//b'] }, /topics\[0\] must be a topic such as/],
    [{ ...good, topics: 'a/b' }, /topics must be an array/],
    [{ ...good, topics: [], events: ['message'] }, /topics must be the topics whose messages/],
    [{ ...good, events: ['connect'] }, /topics must be the topics whose messages/],
    [{ ...good, topics: [] }, /events must be an array of connect/],
    [{ ...good, events: ['leave'] }, /events must be/],
    [{ ...good, timeout: 0 }, /timeout must be an integer from 1/],
    [{ ...good, maxQueue: -1 }, /maxQueue must be an integer from 0/],
    [{ ...good, retry: 5 }, /retryFor/],
    [5 as never, /endpoints\[0\]/],
  ])('%# are refused, without a secret in the error', (endpoint, message) => {
    expect(of(endpoint)).toThrow(message);
    expect(of(endpoint)).not.toThrow(/hunter2/);
  });

  const made = async (beside: object, ...endpoints: object[]): Promise<void> => {
    const hook = WebhookModule.forRootAsync({
      ...beside,
      useFactory: () => ({ endpoints: endpoints as WebhookOptions[] }),
    });
    const cluster = await createTestCluster({ handlers: { imports: [hook] } });
    await cluster.close();
  };

  it('of a factory are those that stand beside it', async () => {
    const silenced = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    await made({ topics: ['a/b'] }, good);
    await expect(made({ topics: ['a/b', 'a/c'] }, good)).rejects.toThrow(
      /endpoints must be endpoints with the topics that stand beside useFactory \(a\/b, a\/c\), but a\/b was given/,
    );
    await expect(made({ topics: ['a/b'], events: ['message', 'connect'] }, good)).rejects.toThrow(
      /with the events that stand beside useFactory \(connect, message\), but message was given/,
    );
    await expect(made({ topics: ['a/b'] }, { ...good, secret: 'hunter2' })).rejects.toThrow(/secret must be/);
    expect(() => WebhookModule.forRootAsync({ useFactory: () => ({ endpoints: [] }) })).toThrow(
      /events must be an array/,
    );
    expect(() => WebhookModule.forRootAsync({ topics: ['a//b'], useFactory: () => ({ endpoints: [] }) })).toThrow(
      /WebhookModule: option topics\[0\] must be a topic/,
    );
    expect(() => WebhookModule.forRootAsync({ topics: ['a/b'] })).toThrow(/one of useFactory/);
    silenced.mockRestore();
  });

  it('name each topic and each event of clients once', () => {
    expect(of(good, good)).toThrow(/different topics, but a\/b twice/);
    const told = { url: good.url, secret: SECRET, events: ['connect'] };
    expect(of(told, told)).toThrow(/one at most has the event connect/);
    expect(of()).toThrow(/1 to 64 endpoints/);
    expect(() => WebhookModule.forRoot(undefined as never)).toThrow(/options must be an object/);
  });
});
