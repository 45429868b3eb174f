import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AdminModule, LoopbackGuard } from '@nestgate/admin';
import { Gate, GateModule } from '@nestgate/gate';
import { FakeClient, waitUntil } from '@nestgate/testing';
import { GatewayApi } from '@nestgate/worker';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const artifacts = process.env['NESTGATE_ARTIFACTS'] ?? path.join(os.tmpdir(), 'nestgate-artifacts');
const VIEWS: readonly (readonly [string, BrowserContextOptions])[] = [
  ['desktop', { viewport: { width: 1280, height: 800 } }],
  ['phone', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'dark' }],
];
const HOSTILE = '<img src=x onerror="document.title=1">';

jest.setTimeout(120_000);

describe.each(VIEWS)('the admin page on a %s', (name, view) => {
  let browser: Browser;
  let app: INestApplication;
  let base: string;
  let client: FakeClient;
  let page: Page;
  let faults: string[];

  beforeAll(async () => {
    await mkdir(artifacts, { recursive: true });
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run'],
    });
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    class AppModule {}
    const imports = [
      GateModule.forRoot({ startupWait: 0, nodeId: 'gate-1' }),
      AdminModule.forRoot({ guard: LoopbackGuard, actions: true }),
    ];
    app = await NestFactory.create({ module: AppModule, imports }, { logger: false });
    await app.listen(0, '127.0.0.1');
    base = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
    client = await FakeClient.connect(base.replace('http', 'ws') + app.get(Gate).options.ws.path);
    const gateway = app.get(GatewayApi);
    await gateway.bindUid(client.clientId, HOSTILE);
    await gateway.joinGroup(client.clientId, HOSTILE);
    await gateway.setSession(client.clientId, { [HOSTILE]: HOSTILE });
    faults = [];
    page = await (await browser.newContext(view)).newPage();
    page.on('pageerror', error => faults.push(error.message));
    page.on('console', message => message.type() === 'error' && faults.push(message.text()));
    page.on('request', request => request.url().startsWith(base) || faults.push(`elsewhere: ${request.url()}`));
    await page.goto(`${base}/admin`);
    await page.getByText('gate-1').waitFor();
  });
  afterEach(async () => {
    expect(faults).toEqual([]);
    // Text of clients is text, and no markup.
    expect(await page.title()).toBe('nestgate');
    expect(await page.locator('img').count()).toBe(0);
    await page.context().close();
    client.socket.terminate();
    await app.close();
  });

  const shot = (what: string) => page.screenshot({ path: path.join(artifacts, `admin-${what}-${name}.png`) });
  const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

  it('shows the nodes, and goes on doing so', async () => {
    await page.getByText('1 node,').waitFor();
    expect(await page.locator('.card strong').first().textContent()).toBe('1');
    for (let i = 0; i < 3; i++) await client.exchange('no/topic');
    await waitUntil('a rate', async () => {
      const text = await page.locator('.card strong').nth(1).textContent();
      return Number(text) > 0;
    });
    await waitUntil('two points of a chart', async () => {
      const points = await page.locator('polyline').first().getAttribute('points');
      return (points ?? '').split(' ').length >= 2;
    });
    await shot('nodes');
    expect(await fits()).toBe(true);
  });

  it('finds a session by its group, with the keyboard, and kicks it', async () => {
    await page.getByRole('button', { name: 'Groups' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: HOSTILE }).click();
    await shot('sessions');
    expect(await fits()).toBe(true);
    await page.getByRole('button', { name: client.clientId }).click();
    await page.getByRole('heading', { name: client.clientId }).waitFor();
    await shot('session');
    await page.getByTestId('send-topic').fill('a/b');
    await page.getByTestId('send-body').fill('{"n":1}');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByRole('button', { name: 'Yes' }).click();
    await page.getByText('"delivered":1').waitFor();
    expect(await client.push('a/b')).toMatchObject({ body: { n: 1 } });
    await page.getByRole('button', { name: 'Kick' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect(client.closedWith).toBeUndefined();
    await page.getByRole('button', { name: 'Kick' }).click();
    await page.getByRole('button', { name: 'Yes' }).click();
    expect(await client.closed).toMatchObject({ code: 4002 });
    await page.getByRole('button', { name: 'Refresh' }).click();
    await page.getByText('The client is not online.').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: client.clientId }).waitFor({ state: 'hidden' });
  });

  it('taps a session, and then a topic of all sessions', async () => {
    await page.getByRole('button', { name: 'Sessions' }).click();
    await page.getByRole('button', { name: client.clientId }).click();
    await page.getByRole('button', { name: 'Tap', exact: true }).click();
    await page.getByText('The log will name you').waitFor();
    await page.getByRole('button', { name: 'Yes' }).click();
    const list = page.getByTestId('tap');
    await page.getByText(/^Ends in \d+ s/).waitFor();
    await client.exchange('no/topic', { text: HOSTILE, password: 'hunter2' });
    await list.getByText('"password":"[hidden]"').waitFor();
    await list.getByText('NO_ROUTE').waitFor();
    await shot('tap');
    expect(await fits()).toBe(true);
    const rows = await list.locator('tbody tr').count();
    expect(rows).toBe(2);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText(/^Over/).waitFor();
    await client.exchange('no/topic');
    await page.keyboard.press('Escape');

    await page.getByTestId('tap-topic').fill('news');
    await page.getByRole('button', { name: 'Tap topic' }).click();
    await page.getByRole('button', { name: 'Yes' }).click();
    await page.getByText(/^Ends in \d+ s; 1 of 1 sessions/).waitFor();
    await client.exchange('no/topic');
    await app.get(GatewayApi).sendToAll('news/new', HOSTILE);
    await list.getByText(client.clientId).waitFor();
    expect(await list.locator('tbody tr').count()).toBe(1);
    await shot('tap-topic');
    expect(await fits()).toBe(true);
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'news' }).waitFor({ state: 'hidden' });
  });

  it('drains a gate', async () => {
    await page.getByRole('button', { name: 'Drain' }).click();
    await page.getByText('Close all clients of gate-1').waitFor();
    await page.getByRole('button', { name: 'Yes' }).click();
    expect(await client.closed).toMatchObject({ code: 1012 });
    // A focused button holds the table back.
    await page.getByRole('button', { name: 'Nodes' }).focus();
    await page.getByText('draining').waitFor();
  });

  it('is there within a second', async () => {
    await page.reload();
    const paint = await page.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
    );
    expect(paint).toBeLessThan(1_000);
  });
});
