import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from '@jest/globals';
import { type Browser, chromium, type LaunchOptions, type Locator, type Page } from 'playwright-core';

const main = fileURLToPath(new URL('../../../apps/chat/dist/main.js', import.meta.url));
export const artifacts = process.env['NESTGATE_ARTIFACTS'] ?? path.join(os.tmpdir(), 'nestgate-artifacts');
const chromiumFlags =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run' +
  ' --disable-background-networking --disable-component-update --disable-sync';
export const timeoutMs = 20_000;

/** The built chat app as a process of its own, on a port of its own. */
export class ChatApp {
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
      const timer = setTimeout(() => giveUp('The chat app printed no URL in time.'), timeoutMs);
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
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    await gone;
    clearTimeout(timer);
  }
}

/** One person in front of one page. */
export class Person {
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

  /** All messages of the room that is open, in order. */
  texts(): Promise<string[]> {
    return this.get('message-text').allTextContents();
  }

  notices(): Promise<string[]> {
    return this.get('notice').allTextContents();
  }

  /** Waits until these messages are shown as not sent yet. */
  async awaits(...texts: string[]): Promise<void> {
    await this.get('queued-count')
      .filter({ hasText: `${texts.length} to send` })
      .waitFor();
    expect(await this.get('pending').allTextContents()).toEqual(texts);
  }

  /** By how much the page is too wide. Not against innerWidth: on a phone that one grows with the page. */
  async overflow(): Promise<number> {
    const width = await this.page.evaluate('document.documentElement.scrollWidth');
    return Number(width) - (this.page.viewportSize()?.width ?? 0);
  }
}

/** Chromium without a window. */
export function launch(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
    args: chromiumFlags.split(' '),
    ...options,
  });
}
