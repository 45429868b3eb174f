import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeEnvironment, settle } from '../testing/fake-environment.js';
import { createTokens, type TokenReason, type TokenResult, type Tokens } from './tokens.js';

let environment: FakeEnvironment;
let reasons: TokenReason[];
let renewed: string[];
let log: unknown[];
/** What the callback returns next; an error is thrown. */
let next: TokenResult | Error;
/** What the gate replies to a renewal; an error is thrown. */
let reply: unknown;
let tokens: Tokens;

beforeEach(() => {
  environment = new FakeEnvironment();
  [reasons, renewed, log] = [[], [], []];
  next = 'token';
  reply = undefined;
  tokens = createTokens(
    environment,
    reason => {
      reasons.push(reason);
      if (next instanceof Error) throw next;
      return next;
    },
    {
      renew(token) {
        renewed.push(token);
        return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
      },
      fail: error => log.push(error),
      none: () => log.push('none'),
    },
  );
});

const inMs = (ms: number): number => environment.wallNow() + ms;
const jwt = (exp: unknown): string =>
  `h.${Buffer.from(JSON.stringify({ exp, text: '~~~???' })).toString('base64url')}.s`;

describe('tokens', () => {
  it('are asked for once, and again after they were dropped or have expired', async () => {
    expect([await tokens.get(), await tokens.get()]).toEqual(['token', 'token']);
    tokens.drop('refused');
    next = { token: 'second', expiresAt: inMs(1_000) };
    expect(await tokens.get()).toBe('second');
    await environment.advance(1_000);
    next = null;
    expect(await tokens.get()).toBeUndefined();
    expect(reasons).toEqual(['connect', 'refused', 'expired']);
  });

  it('are renewed a minute before they expire, or a fifth of the time that is left', async () => {
    next = { token: 'long', expiresAt: inMs(3_600_000) };
    await tokens.get();
    tokens.start();
    expect(environment.nextTimerMs).toBe(3_540_000);
    tokens.stop();
    tokens.drop('refused');
    next = jwt(inMs(100_000) / 1_000);
    await tokens.get();
    tokens.start();
    expect(environment.nextTimerMs).toBe(80_000);
    next = 'eternal';
    await environment.advance(80_000);
    expect([renewed, environment.open.timers]).toEqual([['eternal'], 0]);
    expect(await tokens.get()).toBe('eternal');
  });

  it('that do not expire need no timer, and one that lives for months a bounded one', async () => {
    await tokens.get();
    tokens.start();
    expect(environment.open.timers).toBe(0);
    tokens.drop('refused');
    next = { token: 'months', expiresAt: inMs(2 ** 33) };
    await tokens.get();
    tokens.start();
    expect(environment.nextTimerMs).toBe(2 ** 31 - 1);
  });

  it('are renewed again by the time that the gate replies', async () => {
    next = { token: 'first', expiresAt: inMs(100_000) };
    await tokens.get();
    tokens.start();
    next = 'second';
    reply = inMs(200_000);
    await environment.advance(80_000);
    expect(environment.nextTimerMs).toBe(200_000 - 80_000 - 24_000);
  });

  it('whose renewal fails are renewed 10 s later', async () => {
    next = { token: 'first', expiresAt: inMs(100_000) };
    await tokens.get();
    tokens.start();
    next = new Error('no network');
    await environment.advance(80_000);
    next = { token: 'second', expiresAt: inMs(1_000_000) };
    reply = new Error('refused');
    await environment.advance(10_000);
    expect(log).toEqual([new Error('no network'), new Error('refused')]);
    reply = undefined;
    await environment.advance(10_000);
    expect(renewed).toEqual(['second', 'second']);
  });

  it('that are there no more end it', async () => {
    next = { token: 'first', expiresAt: inMs(100_000) };
    await tokens.get();
    tokens.start();
    next = undefined;
    await environment.advance(80_000);
    expect([log, environment.open.timers]).toEqual([['none'], 0]);
  });

  it('are not renewed after stop, also when the callback is still running', async () => {
    next = { token: 'first', expiresAt: inMs(100_000) };
    await tokens.get();
    tokens.start();
    tokens.stop();
    expect(environment.open.timers).toBe(0);
    tokens.start();
    let answer: (token: string) => void = () => undefined;
    next = new Promise<string>(resolve => (answer = resolve)) as unknown as string;
    await environment.advance(80_000);
    tokens.stop();
    answer('late');
    await settle();
    expect([renewed, log, environment.open.timers]).toEqual([[], [], 0]);
  });

  it.each(['x', 'h.%%%.s', jwt('soon'), jwt(undefined), ''])('%p says nothing of its end', async token => {
    next = token;
    await tokens.get();
    tokens.start();
    expect(environment.open.timers).toBe(0);
  });
});
