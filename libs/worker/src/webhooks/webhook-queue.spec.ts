import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { BoundedLog } from '../log/bounded-log.js';
import { WebhookMetrics } from './webhook-counters.js';
import { type WebhookAnswer, WebhookError, type WebhookEndpoint } from './webhook-endpoint.js';
import { WebhookQueue } from './webhook-queue.js';

/** An endpoint whose answers a test gives. */
class FakeEndpoint {
  isFree = true;
  readonly options = { maxQueue: 100, retryFor: 60_000 };
  readonly sent: { readonly id: string; readonly at: number; settle(status: number | Error): Promise<void> }[] = [];

  send(id: string): Promise<WebhookAnswer> {
    return new Promise((resolve, reject) => {
      this.sent.push({
        id,
        at: performance.now(),
        async settle(outcome) {
          if (typeof outcome === 'number') resolve({ status: outcome, body: undefined });
          else reject(outcome);
          for (let turn = 0; turn < 5; turn++) await Promise.resolve();
        },
      });
    });
  }
}

const FAULT = new WebhookError('network', 'nobody');

describe('WebhookQueue', () => {
  let endpoint: FakeEndpoint;
  let metrics: WebhookMetrics;
  let queue: WebhookQueue;
  const lines: string[] = [];

  beforeEach(() => {
    jest.useFakeTimers();
    lines.length = 0;
    endpoint = new FakeEndpoint();
    metrics = new WebhookMetrics();
    const log = {
      warn: (line: string) => void lines.push(line),
      error: (error: unknown) => void lines.push(String(error)),
    };
    queue = new WebhookQueue(
      endpoint as unknown as WebhookEndpoint,
      'disconnect',
      metrics,
      log as unknown as BoundedLog,
    );
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const add = (count: number, event = '{}'): void => {
    for (let n = 0; n < count; n++) queue.add(`${n}`, event);
  };
  const ids = (): string[] => endpoint.sent.map(({ id }) => id);

  it('sends events in their order, 16 at once', async () => {
    add(20);
    expect(ids()).toEqual(Array.from({ length: 16 }, (_, n) => `${n}`));
    await endpoint.sent[3]?.settle(200);
    expect(ids().at(-1)).toBe('16');
    for (let n = 0; n < 20; n++) await endpoint.sent[n]?.settle(204);
    expect(ids()).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
    expect([queue.size, metrics.snapshot()]).toMatchObject([0, { queued: 0, delivered: { disconnect: 20 } }]);
    jest.advanceTimersByTime(250);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('keeps as many as may wait, drops the newest, counts them and says so', () => {
    endpoint.isFree = false;
    add(103);
    expect([queue.size, metrics.snapshot().queued, metrics.snapshot().dropped]).toEqual([100, 100, { full: 3 }]);
    expect(lines).toEqual(Array.from({ length: 3 }, () => '1 disconnect events are lost: full'));
  });

  it('keeps 64 MiB at most', () => {
    endpoint.isFree = false;
    const event = 'x'.repeat(8 * 1024 * 1024);
    add(9, event);
    expect([queue.size, metrics.snapshot().dropped]).toEqual([8, { full: 1 }]);
  });

  it('gives the bytes of what has arrived back', async () => {
    const event = 'x'.repeat(8 * 1024 * 1024);
    for (let n = 0; n < 20; n++) {
      queue.add(`${n}`, event);
      await endpoint.sent[n]?.settle(200);
    }
    expect(metrics.snapshot()).toMatchObject({ delivered: { disconnect: 20 }, dropped: {} });
  });

  it('does not send while the endpoint is not free, and goes on when it is', () => {
    endpoint.isFree = false;
    add(1);
    jest.advanceTimersByTime(10_000);
    expect(endpoint.sent).toEqual([]);
    endpoint.isFree = true;
    jest.advanceTimersByTime(250);
    expect(ids()).toEqual(['0']);
  });

  it('sends again after pauses that double, from half a second to half a minute, and gives up in the end', async () => {
    Object.assign(endpoint.options, { retryFor: 200_000 });
    jest.spyOn(Math, 'random').mockReturnValue(1);
    add(1);
    for (let n = 0; n < 2_000 && queue.size > 0; n++) {
      const last = endpoint.sent.at(-1);
      await last?.settle(FAULT);
      jest.advanceTimersByTime(250);
    }
    jest.restoreAllMocks();
    const pauses = endpoint.sent.slice(1).map(({ at }, n) => at - (endpoint.sent[n]?.at ?? 0));
    // Each is looked for at the next quarter of a second.
    const expected = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000];
    expect(pauses).toHaveLength(expected.length);
    for (const [n, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(expected[n] ?? 0);
      expect(pause).toBeLessThanOrEqual((expected[n] ?? 0) + 500);
    }
    expect([queue.size, metrics.snapshot()]).toMatchObject([0, { queued: 0, dropped: { expired: 1 } }]);
    expect(lines).toEqual(['1 disconnect events are lost: expired']);
  });

  it('pauses for different times', async () => {
    add(16);
    for (const each of endpoint.sent.slice()) await each.settle(FAULT);
    const begun = performance.now();
    for (let n = 0; n < 4; n++) jest.advanceTimersByTime(250);
    const seen = new Set(endpoint.sent.slice(16).map(({ at }) => at - begun));
    expect(endpoint.sent).toHaveLength(32);
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(250);
  });

  it('lets what has failed wait, and not what comes after it', async () => {
    add(1);
    await endpoint.sent[0]?.settle(FAULT);
    queue.add('next', '{}');
    expect(ids()).toEqual(['0', 'next']);
  });

  it('does not repeat what the endpoint refuses', async () => {
    add(1);
    await endpoint.sent[0]?.settle(404);
    expect([queue.size, metrics.snapshot()]).toMatchObject([0, { dropped: { refused: 1 }, delivered: {} }]);
  });

  it('waits at its end, and counts what is left then', async () => {
    add(20);
    const closing = queue.close(3_000);
    for (const each of endpoint.sent.slice(0, 10)) await each.settle(200);
    await jest.advanceTimersByTimeAsync(3_000);
    await closing;
    // Those that are under way end later, one way or the other.
    const [first, ...others] = endpoint.sent.slice(10);
    await first?.settle(200);
    for (const each of others) await each.settle(FAULT);
    const { delivered, dropped, queued } = metrics.snapshot();
    expect((delivered['disconnect'] ?? 0) + (dropped['closed'] ?? 0)).toBe(20);
    expect([delivered['disconnect'], queued, queue.size]).toEqual([11, 0, 0]);
    queue.add('late', '{}');
    expect(metrics.snapshot().dropped['closed']).toBe(10);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('ends at once when nothing waits', async () => {
    add(1);
    const closing = queue.close(3_000);
    await endpoint.sent[0]?.settle(200);
    await closing;
    expect(metrics.snapshot().dropped).toEqual({});
  });
});
