import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { artifacts, ChatApp, launch, Person, timeoutMs } from './support/chat-app.js';

const desktop: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const phone: BrowserContextOptions = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

jest.setTimeout(120_000);

const keep = ({ page }: Person, name: string) => page.screenshot({ path: path.join(artifacts, `${name}.png`) });

describe('the chat page', () => {
  let browser: Browser;
  let app: ChatApp;
  let complaints: string[];

  beforeAll(async () => {
    await mkdir(artifacts, { recursive: true });
    browser = await launch();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    complaints = [];
    app = await ChatApp.start();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map(context => context.close()));
    await app?.stop();
  });

  async function visit(options: BrowserContextOptions = desktop): Promise<Person> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(timeoutMs);
    const page = await context.newPage();
    page.on('pageerror', error => complaints.push(error.message));
    page.on('console', line => {
      if (line.text().includes('Content Security Policy')) complaints.push(line.text());
    });
    await page.goto(app.url.href);
    const person = new Person(page);
    await person.is('online');
    return person;
  }

  async function adaAndLinus(): Promise<[Person, Person]> {
    const ada = await (await (await visit()).login('Ada')).join('lobby');
    const linus = await (await (await visit()).login('Linus')).join('lobby');
    await ada.sees('Linus');
    await linus.sees('Ada');
    return [ada, linus];
  }

  it('lets two people meet, talk and whisper', async () => {
    const [ada, linus] = await adaAndLinus();

    await ada.say('Hello, Linus.');
    expect(await linus.senderOf('Hello, Linus.')).toBe('Ada');
    await linus.say('Hello, Ada.');
    expect(await ada.senderOf('Hello, Ada.')).toBe('Linus');

    // A third person in the room proves that a whisper is one: the public line after it arrives, it does not.
    const grace = await (await (await visit()).login('Grace')).join('lobby');
    await ada.whisper('Linus', 'Just between us.');
    expect(await ada.senderOf('Just between us.', 'whisper')).toBe('Ada');
    expect(await linus.senderOf('Just between us.', 'whisper')).toBe('Ada');
    await ada.say('Welcome, Grace.');
    await grace.hears('Welcome, Grace.');
    expect(await grace.page.locator('[data-testid="message-text"]').allTextContents()).toEqual(['Welcome, Grace.']);

    await keep(ada, 'chat-desktop');
    expect(complaints).toEqual([]);
  });

  it('shows when a member leaves', async () => {
    const [ada, linus] = await adaAndLinus();
    await linus.page.close();
    await ada.misses('Linus');
    await ada.sees('Ada');
  });

  it('comes back by itself, into the same room, after the server was restarted', async () => {
    const [ada, linus] = await adaAndLinus();
    await ada.say('Before.');
    await linus.hears('Before.');

    await app.stop();
    await Promise.all([ada.is('reconnecting'), linus.is('reconnecting')]);
    await keep(ada, 'chat-reconnecting');
    app = await ChatApp.start(app.url.port);
    await Promise.all([ada.is('online'), linus.is('online')]);

    await Promise.all([ada.sees('Linus'), linus.sees('Ada')]);
    await ada.say('After.');
    expect(await linus.senderOf('After.')).toBe('Ada');
    await linus.say('Still here.');
    expect(await ada.senderOf('Still here.')).toBe('Linus');
    expect(complaints).toEqual([]);
  });

  it('loses and doubles no message while a page has no network: its session goes on', async () => {
    const [ada, linus] = await adaAndLinus();
    await ada.say('Before.');
    await linus.hears('Before.');

    await ada.page.context().setOffline(true);
    await ada.is('reconnecting');
    await linus.say('Are you there?');
    await linus.hears('Are you there?');
    await ada.say('I am in a tunnel.');
    await ada.awaits('I am in a tunnel.');
    await keep(ada, 'chat-offline');
    await ada.page.context().setOffline(false);
    await ada.is('online');

    await linus.hears('I am in a tunnel.');
    await ada.hears('I am in a tunnel.');
    const all = ['Before.', 'Are you there?', 'I am in a tunnel.'];
    expect([await ada.texts(), await linus.texts()]).toEqual([all, all]);
    // Nothing is missing, and nobody has joined again.
    expect((await ada.notices()).filter(text => /missing|not shown/.test(text))).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it('sends what was written while the server restarted, once, and says that messages may be missing', async () => {
    const [ada, linus] = await adaAndLinus();
    await ada.page.context().setOffline(true);
    await ada.is('reconnecting');
    await app.stop();
    await ada.say('Written meanwhile.');
    await ada.say('And this.');
    await ada.awaits('Written meanwhile.', 'And this.');
    app = await ChatApp.start(app.url.port);
    await linus.is('online');
    await ada.page.context().setOffline(false);
    await ada.is('online');

    await linus.hears('And this.');
    await ada.hears('And this.');
    const all = ['Written meanwhile.', 'And this.'];
    expect([await ada.texts(), await linus.texts()]).toEqual([all, all]);
    for (const person of [ada, linus]) {
      expect(await person.notices()).toContain('Connected again. Messages sent in between are not shown.');
    }
    expect(complaints).toEqual([]);
  });

  it('shows markup as the text it is', async () => {
    const markup = '<img src=x onerror="document.title=\'pwned\'"><script>document.title="pwned"</script>';
    const mallory = '<b onclick=alert(1)>Mallory</b>';
    const ada = await (await (await visit()).login('Ada')).join('<i>lobby</i>');
    const other = await (await (await visit()).login(mallory)).join('<i>lobby</i>');
    await ada.sees(mallory);
    await other.say(markup);

    expect(await ada.senderOf(markup)).toBe(mallory);
    expect(await ada.page.locator('main img, main script, #app b[onclick], #app i:not(.lamp)').count()).toBe(0);
    expect(await ada.page.title()).not.toBe('pwned');
    expect(complaints).toEqual([]);
  });

  it('fits a phone', async () => {
    const ada = await visit(phone);
    expect(await ada.overflow()).toBeLessThanOrEqual(0);
    await keep(ada, 'login-phone');
    await ada.login('Ada');
    await ada.join('a room with a rather long name for so small a screen');
    await ada.say(`Unbroken${'ness'.repeat(60)}`);
    await ada.hears(`Unbroken${'ness'.repeat(60)}`);
    expect(await ada.overflow()).toBeLessThanOrEqual(0);
    await keep(ada, 'chat-phone');
    expect(complaints).toEqual([]);
  });
});
