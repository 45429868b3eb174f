import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { BoundedLog } from '../log/bounded-log.js';
import { WebhookMetrics } from './webhook-counters.js';
import { WebhookEndpoint, WebhookError } from './webhook-endpoint.js';
import { resolveWebhooks } from './webhook-options.js';
import { WebhookQueue } from './webhook-queue.js';

const OK = (): Response => new Response('{"reply":1}');

describe('WebhookEndpoint', () => {
  let metrics: WebhookMetrics;
  let lines: string[];
  let endpoint: WebhookEndpoint;
  let answer: (init: RequestInit) => Response | Promise<Response>;
  let asked: RequestInit[];

  function make(more: object = {}): WebhookEndpoint {
    const url = 'https://shop.example/events?key=hunter2';
    const [options] = resolveWebhooks({ endpoints: [{ url, secret: 's'.repeat(24), topics: ['a/b'], ...more }] });
    if (!options) throw new Error('There are no options');
    const log = {
      log: (line: string) => void lines.push(`log ${line}`),
      warn: (line: string) => void lines.push(`warn ${line}`),
      error: (line: string) => void lines.push(`error ${line}`),
    };
    endpoint = new WebhookEndpoint(options, metrics, log as unknown as BoundedLog);
    return endpoint;
  }
  const send = () => endpoint.send('id', '{}');
  const faultOf = (sending: Promise<unknown>): Promise<string> =>
    sending.then(
      () => 'none',
      (error: unknown) => (error instanceof WebhookError ? error.fault : String(error)),
    );

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    metrics = new WebhookMetrics();
    lines = [];
    asked = [];
    answer = OK;
    jest.spyOn(globalThis, 'fetch').mockImplementation(async (_url, init) => {
      asked.push(init ?? {});
      return answer(init ?? {});
    });
    make();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  const fail = (): void => {
    answer = () => {
      throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    };
  };

  it('resolves with what was answered, and counts nothing as failed', async () => {
    expect(await send()).toEqual({ status: 200, body: { reply: 1 } });
    answer = () => new Response(null, { status: 204 });
    expect(await send()).toEqual({ status: 204, body: undefined });
    answer = () => new Response('no such order', { status: 404 });
    expect(await send()).toEqual({ status: 404, body: undefined });
    expect(asked[0]).toMatchObject({ method: 'POST', body: '{}', redirect: 'manual', headers: { 'webhook-id': 'id' } });
    expect(metrics.snapshot()).toMatchObject({ failed: {}, inFlight: 0 });
  });

  it.each<[what: string, answer: () => Response, fault: string]>([
    ['500', () => new Response('', { status: 500 }), 'status'],
    ['429', () => new Response('', { status: 429 }), 'status'],
    ['408', () => new Response('', { status: 408 }), 'status'],
    ['a redirect', () => new Response('', { status: 302 }), 'status'],
    ['no JSON', () => new Response('<html>'), 'answer'],
    ['more than a mebibyte', () => new Response('x'.repeat(1_048_577)), 'answer'],
    [
      'nothing',
      () => {
        throw new TypeError('fetch failed');
      },
      'network',
    ],
  ])('fails with %s', async (_what, given, fault) => {
    answer = given;
    expect(await faultOf(send())).toBe(fault);
    expect(metrics.snapshot()).toMatchObject({ failed: { [fault]: 1 }, inFlight: 0 });
  });

  it('has so many requests in flight, and no more', async () => {
    make({ maxConcurrent: 2 });
    const pending: ((response: Response) => void)[] = [];
    answer = () => new Promise(resolve => pending.push(resolve));
    const both = [send(), send()];
    expect([endpoint.isFree, metrics.snapshot().inFlight]).toEqual([false, 2]);
    expect(await faultOf(send())).toBe('busy');
    expect(asked).toHaveLength(2);
    for (const resolve of pending) resolve(OK());
    await Promise.all(both);
    expect([endpoint.isFree, metrics.snapshot().inFlight]).toEqual([true, 0]);
  });

  it('is down after five failures in a row, and says so once, without the query of its URL', async () => {
    fail();
    for (let n = 0; n < 4; n++) await faultOf(send());
    expect(metrics.snapshot().down).toBe(0);
    answer = OK;
    await send();
    fail();
    for (let n = 0; n < 5; n++) expect(await faultOf(send())).toBe('network');
    for (let n = 0; n < 5; n++) expect(await faultOf(send())).toBe('down');
    expect(asked).toHaveLength(10);
    expect([metrics.snapshot().down, endpoint.isFree]).toEqual([1, false]);
    expect(lines).toEqual([
      'error https://shop.example/events is down: connect ECONNREFUSED; events of clients fail at once, or wait',
    ]);
  });

  it('is asked once after a second, then after two, and so on up to half a minute', async () => {
    fail();
    for (let n = 0; n < 5; n++) await faultOf(send());
    const rests: number[] = [];
    for (let n = 0; n < 7; n++) {
      const rest = endpoint.restLeft();
      rests.push(rest);
      jest.advanceTimersByTime(rest - 1);
      expect(await faultOf(send())).toBe('down');
      jest.advanceTimersByTime(1);
      expect(endpoint.isFree).toBe(true);
      expect(await faultOf(send())).toBe('network');
    }
    expect(rests).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(asked).toHaveLength(12);
    expect([lines.length, metrics.snapshot().down]).toEqual([1, 1]);
  });

  it('lets a single request find out whether it is back, and then all', async () => {
    fail();
    for (let n = 0; n < 5; n++) await faultOf(send());
    jest.advanceTimersByTime(1_000);
    let resolve: (response: Response) => void = () => undefined;
    answer = () => new Promise(done => (resolve = done));
    const probe = send();
    expect(await Promise.all([faultOf(send()), faultOf(send())])).toEqual(['down', 'down']);
    answer = OK;
    resolve(OK());
    expect(await probe).toMatchObject({ status: 200 });
    expect(await Promise.all(Array.from({ length: 20 }, send))).toHaveLength(20);
    expect([metrics.snapshot().down, lines.at(-1)]).toEqual([0, 'log https://shop.example/events answers again']);
  });

  it('down for a minute: a bounded queue, one line, and what was kept arrives in order when it is back', async () => {
    make({ events: ['disconnect'], topics: [], maxQueue: 1_000 });
    const queue = new WebhookQueue(endpoint, 'disconnect', metrics, { warn: () => undefined } as unknown as BoundedLog);
    const wait = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 250) await jest.advanceTimersByTimeAsync(Math.min(250, left));
    };
    fail();
    // 25 clients leave in each second: 1,500 in all.
    for (let n = 0; n < 1_500; n++) {
      queue.add(`${n}`, JSON.stringify({ n }));
      if (n % 25 === 24) await wait(1_000);
      expect(queue.size).toBeLessThanOrEqual(1_000);
    }
    const during = asked.length;
    // Up to 16 at first, then one after each rest of 1, 2, 4, 8, 16 and 30 s.
    expect(during).toBeLessThanOrEqual(16 + 6);
    expect(metrics.snapshot()).toMatchObject({ queued: 1_000, down: 1, dropped: { full: 500 }, delivered: {} });
    expect(lines.filter(line => line.includes('is down'))).toHaveLength(1);
    const arrived: number[] = [];
    answer = ({ body }) => {
      arrived.push((JSON.parse(body as string) as { n: number }).n);
      return new Response(null, { status: 204 });
    };
    await wait(60_000);
    expect(metrics.snapshot()).toMatchObject({
      queued: 0,
      down: 0,
      dropped: { full: 500 },
      delivered: { disconnect: 1_000 },
    });
    expect(lines.filter(line => line.includes('answers again'))).toHaveLength(1);
    expect([...arrived].sort((one, other) => one - other)).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
    // Those that were not tried meanwhile come in the order in which their clients have gone.
    const tried = new Set(asked.slice(0, during).map(({ body }) => (JSON.parse(body as string) as { n: number }).n));
    const untried = arrived.filter(n => !tried.has(n));
    expect(untried.length).toBeGreaterThan(970);
    expect(untried).toEqual([...untried].sort((one, other) => one - other));
  });
});
