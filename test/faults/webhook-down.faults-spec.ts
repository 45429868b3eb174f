import { setTimeout as delay } from 'node:timers/promises';
import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Logger } from '@nestjs/common';
import { createTestCluster, freePort, type TestCluster, waitUntil } from '@nestgate/testing';
import { OnTopic, WebhookMetrics, WebhookModule } from '@nestgate/worker';
import { isLong } from './support/fault-cluster.js';
import { printFigures } from './support/figures.js';

const SECRET = 's'.repeat(32);
/** An address that no other test uses: the port stays free while nobody listens. */
const HOST = '127.0.0.66';
/** How long nobody answers. */
const DOWN_MS = isLong ? 60_000 : 6_000;
/** A client leaves, and one asks, in this interval. */
const PACE_MS = 20;
/** Fewer than leave in that time. */
const MAX_QUEUE = DOWN_MS / 100;

@Controller()
class OwnTopics {
  @OnTopic('own/echo')
  echo(): string {
    return 'yes';
  }
}

describe('an endpoint of webhooks that is down', () => {
  let cluster: TestCluster;
  let server: Server | undefined;

  afterEach(async () => {
    jest.restoreAllMocks();
    await cluster.close();
    server?.closeAllConnections();
    await new Promise(resolve => (server ? server.close(resolve) : resolve(undefined)));
  });

  it(
    'holds nobody up, costs a bounded queue and one line, and gets what was kept when it is back',
    async () => {
      const errors = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      const told = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
      jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
      const port = await freePort();
      const endpoint = {
        url: `http://${HOST}:${port}/events`,
        secret: SECRET,
        events: ['disconnect', 'message'] as const,
        topics: ['shop/order'],
        maxQueue: MAX_QUEUE,
      };
      cluster = await createTestCluster({
        workers: 1,
        handlers: { controllers: [OwnTopics], imports: [WebhookModule.forRoot({ endpoints: [endpoint] })] },
        gate: { messageRate: 0, maxConnectionsPerIp: 0, maxConnectionRate: 0 },
      });
      const metrics = cluster.workers[0]?.app.get(WebhookMetrics, { strict: false }) as WebhookMetrics;
      const asking = await cluster.connect();
      const echoing = await cluster.connect();
      const figures = { left: 0, asked: 0, slowestAnswer: 0, slowestNeighbour: 0, queued: 0 };
      const timed = async (run: () => Promise<unknown>): Promise<number> => {
        const begun = performance.now();
        await run();
        return performance.now() - begun;
      };
      const end = performance.now() + DOWN_MS;
      while (performance.now() < end) {
        const leaving = await cluster.connect();
        leaving.socket.terminate();
        figures.left++;
        figures.asked++;
        const refused = await timed(() =>
          expect(asking.request('shop/order')).rejects.toMatchObject({ code: 'NO_WORKER' }),
        );
        const echo = await timed(() => echoing.request('own/echo'));
        figures.slowestAnswer = Math.max(figures.slowestAnswer, Math.round(refused));
        figures.slowestNeighbour = Math.max(figures.slowestNeighbour, Math.round(echo));
        figures.queued = Math.max(figures.queued, metrics.snapshot().queued);
        await delay(PACE_MS);
      }
      await waitUntil('all that left to be counted', () => {
        const { queued, dropped } = metrics.snapshot();
        return queued + (dropped['full'] ?? 0) === figures.left;
      });
      const { dropped, down, queued } = metrics.snapshot();
      printFigures(`webhooks, an endpoint down for ${DOWN_MS / 1_000} s`, { ...figures, full: dropped['full'] ?? 0 });
      expect(down).toBe(1);
      expect([figures.queued, (dropped['full'] ?? 0) > 0]).toEqual([MAX_QUEUE, true]);
      expect(errors.mock.calls.filter(([line]) => String(line).includes('/events is down'))).toHaveLength(1);
      // Neither waits for the endpoint, whose time limit is 5 s.
      expect([figures.slowestAnswer < 2_000, figures.slowestNeighbour < 2_000]).toEqual([true, true]);

      const arrived = new Set<string>();
      server = createServer((request, response) => {
        void (async () => {
          let text = '';
          for await (const part of request) text += String(part);
          const { event, session } = JSON.parse(text) as { event: string; session: { clientId: string } };
          if (event === 'disconnect') arrived.add(session.clientId);
          response.end('{}');
        })();
      });
      await new Promise<void>(resolve => server?.listen(port, HOST, resolve));
      await waitUntil('the queue to be empty', () => metrics.snapshot().queued === 0, 75_000);
      expect([arrived.size, metrics.snapshot().delivered['disconnect']]).toEqual([queued, queued]);
      expect(metrics.snapshot().dropped).toEqual(dropped);
      expect(told.mock.calls.some(([line]) => String(line).includes('answers again'))).toBe(true);
      expect(await asking.request('shop/order')).toBeNull();
      expect(metrics.snapshot().down).toBe(0);
    },
    DOWN_MS + 120_000,
  );
});
