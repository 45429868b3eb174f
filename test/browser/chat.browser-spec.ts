import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';

const main = fileURLToPath(new URL('../../apps/chat/dist/main.js', import.meta.url));
const artifacts = process.env['NESTGATE_ARTIFACTS'] ?? path.join(os.tmpdir(), 'nestgate-artifacts');
const desktop: BrowserContextOptions = { viewport: { width: 1280, height: 800 } };
const phone: BrowserContextOptions = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
const chromiumFlags =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run' +
  ' --disable-background-networking --disable-component-update --disable-sync';
const patienceMs = 20_000;

jest.setTimeout(120_000);

/** The built chat app as a process of its own, on a port of its own. */
class ChatApp {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: URL,
  ) {}

  static async start(port = '0'): Promise<ChatApp> {
    // The options this test run needs are none of the app's business.
    const env = { ...process.env, PORT: port, NODE_OPTIONS: '' };
    const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const url = await new Promise<string>((resolve, reject) => {
      const giveUp = (why: string): void => {
        clearTimeout(timer);
        child.kill('SIGKILL');
        reject(new Error(`${why}\n${output}`));
      };
      const timer = setTimeout(() => giveUp('The chat app printed no URL in time.'), patienceMs);
      const read = (chunk: Buffer): void => {
        output += chunk.toString();
        const match = /http:\/\/[^\s/]+:\d+/.exec(output);
        if (match === null) return;
        clearTimeout(timer);
        resolve(match[0]);
      };
      child.stdout.on('data', read);
      child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.once('error', error => giveUp(error.message));
      child.once('exit', code => giveUp(`The chat app exited with ${code} before it listened.`));
    });
    return new ChatApp(child, new URL(url));
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patienceMs);
    await gone;
    clearTimeout(timer);
  }
}

/** One person in front of one page. */
class Person {
  constructor(readonly page: Page) {}

  private get(testId: string, more = ''): Locator {
    return this.page.locator(`[data-testid="${testId}"]${more}`);
  }

  async login(name: string): Promise<this> {
    await this.get('name-input').fill(name);
    await this.get('name-submit').click();
    return this;
  }

  async join(room: string): Promise<this> {
    await this.get('room-input').fill(room);
    await this.get('room-submit').click();
    await this.get('room-tab', `[data-room="${room}"][aria-current]`).waitFor({ state: 'attached' });
    return this;
  }

  async say(text: string): Promise<void> {
    await this.get('message-input').fill(text);
    await this.get('message-send').click();
  }

  async whisper(to: string, text: string): Promise<void> {
    await this.get('member', `[data-name="${to}"]`).click();
    expect(await this.get('whisper-target').inputValue()).toBe(to);
    await this.say(text);
    await this.get('whisper-target').selectOption('');
  }

  /** The message with exactly this text, once it is there. */
  async hears(text: string, kind = 'said'): Promise<Locator> {
    const has = this.page.getByText(text, { exact: true });
    const message = this.get('message', `[data-kind="${kind}"]`).filter({ has });
    await message.waitFor();
    return message;
  }

  async senderOf(text: string, kind = 'said'): Promise<string | null> {
    return (await this.hears(text, kind)).locator('[data-testid="message-from"]').textContent();
  }

  async sees(name: string): Promise<void> {
    await this.get('member', `[data-name="${name}"]`).waitFor();
  }

  async misses(name: string): Promise<void> {
    await this.get('member', `[data-name="${name}"]`).waitFor({ state: 'detached' });
  }

  async is(connection: 'online' | 'reconnecting'): Promise<void> {
    await this.get('connection-state', `[data-state="${connection}"]`).waitFor();
  }

  /** By how much the page is too wide. Not against innerWidth: on a phone that one grows with the page. */
  async overflow(): Promise<number> {
    const width = await this.page.evaluate('document.documentElement.scrollWidth');
    return Number(width) - (this.page.viewportSize()?.width ?? 0);
  }
}

const keep = ({ page }: Person, name: string) => page.screenshot({ path: path.join(artifacts, `${name}.png`) });

describe('the chat page', () => {
  let browser: Browser;
  let app: ChatApp;
  let complaints: string[];

  beforeAll(async () => {
    await mkdir(artifacts, { recursive: true });
    browser = await chromium.launch({
      executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
      args: chromiumFlags.split(' '),
    });
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
    context.setDefaultTimeout(patienceMs);
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

  it('notices when somebody goes', async () => {
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
