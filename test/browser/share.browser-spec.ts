import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createTestCluster, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ClientTopics } from '../e2e/client/client-support.js';
import type { SharePage } from './pages/share-page.js';
import { launch, timeoutMs } from './support/chat-app.js';
import { ClientPages } from './support/client-pages.js';

jest.setTimeout(60_000);

/** The global of the page that `pages/share-page.ts` sets. */
declare global {
  var shared: SharePage;
}

let browser: Browser;
let cluster: TestCluster;
let relay: TcpRelay;
let pages: ClientPages;
let context: BrowserContext;
let complaints: string[];
let said: number;

beforeAll(async () => {
  browser = await launch();
  pages = await ClientPages.start('esbuild', ['share-page']);
});
afterAll(async () => {
  await browser?.close();
  await pages?.close();
});

beforeEach(async () => {
  [complaints, said] = [[], 0];
  cluster = await createTestCluster({
    handlers: { controllers: [ClientTopics] },
    gate: { resume: {}, messageRate: 0, ws: { origins: '*' } },
  });
  relay = await TcpRelay.start(cluster.gates[0]!.port);
  context = await browser.newContext();
  context.setDefaultTimeout(timeoutMs);
});
afterEach(async () => {
  expect(complaints).toEqual([]);
  await context?.close();
  await relay?.end();
  await cluster?.close();
});

/** Opens a tab, and waits until its client is online. */
async function openTab(): Promise<Page> {
  const page = await context.newPage();
  page.on('pageerror', error => complaints.push(error.message));
  await page.goto(pages.url('share-page', relay.port));
  await online(page);
  return page;
}

async function online(page: Page): Promise<void> {
  await waitUntil('the tab to be online', () => page.evaluate(() => shared.gate.state.name === 'online'), timeoutMs);
}

const idOf = (page: Page): Promise<string> => page.evaluate(() => shared.gate.clientId);
const eventsOf = (page: Page): Promise<string[]> => page.evaluate(() => shared.events.splice(0));

/** Pushes a number to the one connection, and waits until each of the tabs has heard it, and nothing else. */
async function expectHeard(tabs: readonly Page[]): Promise<void> {
  await cluster.api.sendToClient(await idOf(tabs[0]!), 'room/said', ++said);
  for (const tab of tabs) {
    await waitUntil('the push', () => tab.evaluate(() => shared.heard.length > 0), timeoutMs);
    expect(await tab.evaluate(() => shared.heard.splice(0))).toEqual([said]);
  }
}

describe('in Chromium, tabs of an origin', () => {
  it('share one connection: each hears the pushes, and gets its own replies', async () => {
    const tabs = [await openTab(), await openTab(), await openTab()];
    expect(await cluster.api.getAllClientCount()).toBe(1);
    expect(new Set(await Promise.all(tabs.map(idOf))).size).toBe(1);
    await expectHeard(tabs);
    const replies = tabs.map((tab, i) => tab.evaluate(n => shared.gate.request('echo/echo', n), i));
    expect(await Promise.all(replies)).toEqual([0, 1, 2]);
  });

  it('go on with their session after a cut, without a gap', async () => {
    const tabs = [await openTab(), await openTab()];
    const clientId = await idOf(tabs[0]!);
    for (const tab of tabs) await eventsOf(tab);
    relay.cut();
    for (const tab of tabs) await waitUntil('a resume', () => tab.evaluate(() => shared.events.includes('resumed')));
    await expectHeard(tabs);
    for (const tab of tabs) {
      expect(await idOf(tab)).toBe(clientId);
      const events = await eventsOf(tab);
      expect(events[0]).toBe('waiting');
      expect(events.slice(-2)).toEqual(['online', 'resumed']);
      expect(events).not.toContain('gap');
    }
  });

  it.each(['closed', 'reloaded', 'left'] as const)('connect again when the tab that holds it is %s', async how => {
    const [holder, ...tabs] = [await openTab(), await openTab(), await openTab()];
    const before = await idOf(holder!);
    for (const tab of tabs) await eventsOf(tab);
    if (how === 'closed') await holder!.close();
    else if (how === 'reloaded') tabs.push(await holder!.reload().then(() => holder!));
    else await holder!.goto(pages.url('elsewhere', relay.port));
    for (const tab of tabs) {
      await waitUntil('another session', async () => ![before, ''].includes(await idOf(tab)), timeoutMs);
      await online(tab);
    }
    await expectHeard(tabs);
    expect(await cluster.api.getAllClientCount()).toBe(1);
    for (const tab of tabs.slice(0, 2)) expect(await eventsOf(tab)).toContain('gap');
  });

  it('go on when one of them closes its client, which leaves nothing behind', async () => {
    const [holder, other] = [await openTab(), await openTab()];
    await holder.evaluate(() => shared.gate.close());
    await waitUntil('the other tab to hear', async () => (await eventsOf(other)).includes('gap'), timeoutMs);
    await online(other);
    await expectHeard([other]);
    const { held, pending } = await holder.evaluate(() => navigator.locks.query());
    expect([held?.length, pending?.length]).toEqual([2, 1]);
    await other.evaluate(() => shared.gate.close());
    await waitUntil('the session to end', async () => (await cluster.api.getAllClientCount()) === 0, timeoutMs);
    const left = await holder.evaluate(() => navigator.locks.query());
    expect([left.held, left.pending]).toEqual([[], []]);
  });
});
