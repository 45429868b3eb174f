import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { GateClient } from '@nestgate/client';
import { createTestCluster, TcpRelay, type TestCluster, waitUntil } from '@nestgate/testing';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ClientTopics } from '../e2e/client/client-support.js';
import type { TestPage } from './pages/page.js';
import { launch, timeoutMs } from './support/chat-app.js';
import { type Bundler, ClientPages } from './support/client-pages.js';

jest.setTimeout(30_000);

const WORKERS = ['worker-page', 'worker', 'service-worker-page', 'service-worker'];

/** The global of the page that `pages/page.ts` sets. */
declare global {
  var test: TestPage;
}

let browser: Browser;
let cluster: TestCluster;
let relay: TcpRelay;
let pages: ClientPages;
let context: BrowserContext;
let complaints: string[];
let said: number;

beforeAll(async () => {
  // Without this flag pages go into the back/forward cache, as they do for users.
  browser = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
});
afterAll(() => browser?.close());

beforeEach(async () => {
  [complaints, said] = [[], 0];
  cluster = await createTestCluster({
    handlers: { controllers: [ClientTopics] },
    // Pings come soon: what a page does without them shows within a test.
    gate: { resume: {}, messageRate: 0, pingInterval: 1_000, ws: { origins: '*' } },
  });
  relay = await TcpRelay.start(cluster.gates[0]!.port);
  context = await browser.newContext();
  context.setDefaultTimeout(timeoutMs);
});
afterEach(async () => {
  await context?.close();
  await relay?.end();
  await cluster?.close();
});

/** Opens a page, and waits until its client is online. */
async function open(name = 'page'): Promise<Page> {
  const page = await context.newPage();
  page.on('pageerror', error => complaints.push(error.message));
  page.on('console', line => {
    if (line.text().includes('Content Security Policy')) complaints.push(line.text());
  });
  await page.goto(pages.url(name, relay.port));
  return page;
}

/** Waits until this is true in the page. Playwright's own polling needs `unsafe-eval`, which the policy of the pages forbids. */
async function until(page: Page, isTrue: () => boolean): Promise<void> {
  await waitUntil(`${String(isTrue)} in the page`, () => page.evaluate(isTrue), timeoutMs);
}

/** Waits until the client of a page is in this state. */
async function inState(page: Page, name: GateClient['state']['name']): Promise<void> {
  await waitUntil(
    `the client to be ${name}`,
    // A page that reloads has no client for a moment.
    () => page.evaluate(wanted => globalThis.test?.gate.state.name === wanted, name).catch(() => false),
    timeoutMs,
  );
}

async function online(): Promise<Page> {
  const page = await open();
  await inState(page, 'online');
  return page;
}

const idOf = (page: Page): Promise<string> => page.evaluate(() => test.gate.clientId);
const eventsOf = (page: Page): Promise<string[]> => page.evaluate(() => test.events.splice(0));
const heard = (page: Page): Promise<unknown[]> =>
  page.evaluate(() => JSON.parse(sessionStorage.getItem('heard') ?? '[]') as unknown[]);

/** Pushes the next numbers to a client. */
async function say(clientId: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await cluster.api.sendToClient(clientId, 'room/said', said++);
}

/** Waits until the page has heard all numbers, and asserts that each came once and in order. */
async function expectAllHeard(page: Page): Promise<void> {
  await waitUntil('all pushes', async () => (await heard(page)).length >= said, timeoutMs);
  expect(await heard(page)).toEqual(Array.from({ length: said }, (_, i) => i));
}

describe.each<Bundler>(['esbuild', 'vite'])('a page that %s has bundled, under a strict policy', bundler => {
  beforeAll(async () => {
    pages = await ClientPages.start(bundler, ['page', ...WORKERS]);
  });
  afterAll(() => pages?.close());

  it('connects, requests and hears pushes; its source map leads to the client', async () => {
    const page = await online();
    expect(await page.evaluate(() => test.gate.request('echo/echo', { text: 'hi' }))).toEqual({ text: 'hi' });
    await say(await idOf(page), 3);
    await expectAllHeard(page);
    const { sources, mappings } = pages.mapOf('page');
    expect(sources.some(source => /libs\/client\/(src|dist)\/connect\.(ts|js)$/.test(source))).toBe(true);
    expect(mappings.length).toBeGreaterThan(1_000);
    expect(complaints).toEqual([]);
  });

  it.each([
    ['web worker', 'worker-page', 'from a worker: idle'],
    ['service worker', 'service-worker-page', 'from a service worker: idle'],
  ])('runs it in a %s', async (_kind, name, title) => {
    const page = await open(name);
    await until(page, () => document.title !== '-');
    expect(await page.title()).toBe(title);
    expect(complaints).toEqual([]);
  });
});

describe('in Chromium, the client', () => {
  beforeAll(async () => {
    pages = await ClientPages.start('esbuild', ['page']);
  });
  afterAll(() => pages?.close());
  afterEach(() => expect(complaints).toEqual([]));

  it('goes on with its session after a reload: no push is lost or comes twice', async () => {
    const page = await online();
    const clientId = await idOf(page);
    for (let round = 0; round < 3; round++) {
      await say(clientId, 2);
      // Pushes go on while the page is away.
      const saying = say(clientId, 20);
      await page.reload();
      await saying;
      await inState(page, 'online');
      expect(await idOf(page)).toBe(clientId);
      expect(await eventsOf(page)).toEqual(['greeting', 'online', 'resumed']);
    }
    await expectAllHeard(page);
  });

  it('has a session for each tab, also for a tab that another has opened', async () => {
    const first = await online();
    const [second] = await Promise.all([
      context.waitForEvent('page'),
      first.evaluate(() => void window.open(location.href)),
    ]);
    await inState(second, 'online');
    const ids = await Promise.all([first, second].map(idOf));
    expect(ids[0]).not.toBe(ids[1]);
    await Promise.all([first.reload(), second.reload()]);
    await Promise.all([inState(first, 'online'), inState(second, 'online')]);
    expect(await Promise.all([first, second].map(idOf))).toEqual(ids);
    expect(await cluster.api.getAllClientCount()).toBe(2);
  });

  it('waits without a network, and goes on when it is back', async () => {
    const page = await online();
    const clientId = await idOf(page);
    await eventsOf(page);
    await context.setOffline(true);
    await inState(page, 'waiting');
    expect(await page.evaluate(() => test.gate.state)).toMatchObject({ retryAt: null });
    await say(clientId, 5);
    const reply = page.evaluate(() => test.gate.request('echo/echo', 'queued'));
    await until(page, () => test.gate.queued === 1);
    await context.setOffline(false);
    expect(await reply).toBe('queued');
    await expectAllHeard(page);
    expect(await idOf(page)).toBe(clientId);
    // The state changes again when the time of the next attempt is known: there is none.
    const events = await eventsOf(page);
    expect([...new Set(events)]).toEqual(['waiting', 'connecting', 'greeting', 'online', 'resumed']);
  });

  it('takes a connection that is silent for alive in a hidden tab, and checks it when the tab is shown', async () => {
    const page = await online();
    const clientId = await idOf(page);
    await eventsOf(page);
    const setVisibility = (state: string): Promise<void> =>
      page.evaluate(value => {
        Object.defineProperty(document, 'visibilityState', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await setVisibility('hidden');
    relay.hold();
    await say(clientId, 3);
    // Three times as long as a visible page waits for a pong.
    await page.waitForTimeout(6_000);
    expect(await eventsOf(page)).toEqual([]);
    await setVisibility('visible');
    await until(page, () => test.events.includes('waiting'));
    relay.cut();
    relay.release();
    await inState(page, 'online');
    await expectAllHeard(page);
    expect(await idOf(page)).toBe(clientId);
    expect(await page.evaluate(() => test.gate.stats.pingTimeouts)).toBe(1);
  });

  it('closes its socket for the back/forward cache, and goes on when the page comes back', async () => {
    const page = await online();
    const clientId = await idOf(page);
    await page.evaluate(() => void (test.mark = 'kept'));
    await eventsOf(page);
    await page.goto(new URL('/elsewhere', page.url()).href);
    await waitUntil('the session to be away', async () => (await cluster.api.getClientState(clientId)) === 'away');
    await say(clientId, 5);
    // A page from the cache has no event `load`, for which `goBack` waits.
    await page.goBack({ waitUntil: 'commit' });
    await inState(page, 'online');
    // It comes from the cache: no script has run again.
    expect(await page.evaluate(() => test.mark)).toBe('kept');
    await expectAllHeard(page);
    expect(await idOf(page)).toBe(clientId);
    expect((await eventsOf(page)).slice(-3)).toEqual(['greeting', 'online', 'resumed']);
  });

  it('ends its session with the page, unless it is to be kept', async () => {
    const page = await online();
    await page.evaluate(() => test.gate.close());
    await waitUntil('the session to end', async () => (await cluster.api.getAllClientCount()) === 0);
    expect(await page.evaluate(() => test.gate.state.name)).toBe('idle');
  });
});
