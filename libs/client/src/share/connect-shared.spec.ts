import { afterEach, describe, expect, it } from '@jest/globals';
import { GateError } from '../errors.js';
import type { GateClient } from '../gate-client.js';
import { type FakeTab, FakeTabs } from '../spec/fake-tabs.js';
import { FakeEnvironment } from '../testing/fake-environment.js';
import { MockGate } from '../testing/mock-gate.js';
import { connectShared, type ShareOptions } from './connect-shared.js';
import { hostTabs } from './tabs-host.js';

let tabs = new FakeTabs();
let mock = new MockGate();
let open: Tab[] = [];
/** What the shared connection has sent. */
let sent: unknown[] = [];

interface Tab {
  readonly gate: GateClient;
  readonly host: FakeTab;
  readonly environment: FakeEnvironment;
  readonly heard: unknown[];
  readonly events: string[];
}

function openTab(options: ShareOptions = {}): Tab {
  const host = tabs.open();
  const environment = new FakeEnvironment();
  const WebSocket = class extends mock.WebSocket {
    override send(data: string): void {
      sent.push(JSON.parse(data));
      super.send(data);
    }
  };
  const gate = connectShared('wss://gate.test/gate', { tabs: host, environment, WebSocket, ...options });
  const tab: Tab = { gate, host, environment, heard: [], events: [] };
  gate.on('room/said', body => tab.heard.push(body));
  gate.on('session', ({ why }) => tab.events.push(why));
  gate.on('gap', ({ n, why }) => tab.events.push(`gap ${n} ${why}`));
  gate.on('error', error => tab.events.push(error.message));
  open.push(tab);
  return tab;
}

/** Lets messages arrive that are under way. */
async function pass(ms = 0): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    for (const { environment, host } of open) if (!host.isFrozen) await environment.advance(ms / 5);
  }
}

async function threeTabs(options?: ShareOptions): Promise<readonly [Tab, Tab, Tab]> {
  const all = [openTab(options), openTab(options), openTab(options)] as const;
  await pass();
  expect(all.map(({ gate }) => gate.state.name)).toEqual(['online', 'online', 'online']);
  expect(mock.openSockets).toBe(1);
  return all;
}

afterEach(async () => {
  for (const { gate } of open) gate.close();
  await pass();
  for (const { environment } of open) expect(environment.open).toEqual({ timers: 0, watchers: 0 });
  expect([mock.openSockets, tabs.left]).toEqual([0, 0]);
  [tabs, mock, open, sent] = [new FakeTabs(), new MockGate(), [], []];
});

describe('a shared connection', () => {
  it('is one for all tabs: pushes reach each of them, replies the one that asked', async () => {
    const all = await threeTabs();
    mock.on('echo', (body: unknown) => ({ body }));
    const replies = all.map(({ gate }, i) => gate.request('echo', i));
    await pass();
    expect(await Promise.all(replies)).toEqual([{ body: 0 }, { body: 1 }, { body: 2 }]);
    for (const n of [1, 2, 3]) await mock.push('room/said', n);
    await pass();
    for (const tab of all) {
      expect(tab.heard).toEqual([1, 2, 3]);
      expect(tab.events).toEqual(['first']);
      expect(tab.gate.clientId).toBe('mock-1');
    }
  });

  it('passes on errors, messages and bytes', async () => {
    const [, second, third] = await threeTabs();
    mock.on('fail', () => {
      throw new GateError('NOT_MEMBER', 'You are no member', { room: 'lobby' });
    });
    const failed = second.gate.request('fail').catch((error: unknown) => error);
    expect(third.gate.send('room/note', [1, 2])).toBe(true);
    await pass();
    expect(await failed).toMatchObject({ code: 'NOT_MEMBER', details: { room: 'lobby' } });
    expect(mock.received.at(-1)).toEqual({ topic: 'room/note', body: [1, 2] });
  });

  it('passes on streams, and cancels those that are left, or whose tab is closed', async () => {
    const [, second, third] = await threeTabs();
    mock.on('count', async function* (n: number) {
      for (let i = 1; i <= n; i++) yield i;
      await new Promise(() => undefined);
    });
    mock.on('three', () => [1, 2, 3]);
    const read = async (from: AsyncIterable<unknown>, most: number): Promise<unknown[]> => {
      const items: unknown[] = [];
      for await (const item of from) {
        items.push(item);
        if (items.length >= most) break;
      }
      return items;
    };
    const cancelled = (): number => sent.filter(frame => (frame as { topic: string }).topic === '$gate/cancel').length;
    const whole = read(second.gate.stream('three'), Infinity);
    const left = read(second.gate.stream('count', 5), 2);
    await pass();
    expect(await whole).toEqual([1, 2, 3]);
    expect(await left).toEqual([1, 2]);
    await pass();
    expect(cancelled()).toBe(1);
    const loop = third.gate.stream('count', 1);
    expect(await Promise.all([loop.next(), pass()])).toMatchObject([{ value: 1 }, undefined]);
    const next = codeOf(loop.next());
    third.gate.close();
    await pass();
    expect(await next).toBe('CONNECTION_LOST');
    expect(cancelled()).toBe(2);
  });

  it('has a call of the server answered by the tab that handles it', async () => {
    const [first, second, third] = await threeTabs();
    expect(await codeOf(mock.call('ui/confirm', { question: 'sure?' }))).toBe('NO_HANDLER');
    second.gate.handle('ui/confirm', ({ question }: { question: string }) => question.length);
    expect(await mock.call('ui/confirm', { question: 'sure?' })).toBe(5);
    // A tab that never answers, and is closed meanwhile.
    third.gate.handle('ui/other', () => new Promise(() => undefined));
    const call = codeOf(mock.call('ui/other'));
    await pass();
    third.gate.close();
    await pass();
    expect(await call).toBe('NO_HANDLER');
    first.gate.handle('ui/slow', () => new Promise(() => undefined));
    const slow = codeOf(mock.call('ui/slow'));
    await pass(61_000);
    expect(await slow).toBe('TIMEOUT');
  });

  it('that is lost shows in all tabs; with its session nothing is missing', async () => {
    const all = await threeTabs();
    await mock.push('room/said', 1);
    await pass();
    await mock.drop();
    await pass();
    for (const { gate } of all) expect([gate.state.name, gate.session]).toEqual(['waiting', 'away']);
    await mock.push('room/said', 2);
    const reply = all[2].gate.request('late', 1);
    mock.on('late', (n: number) => n + 1);
    await pass(500);
    expect(await reply).toBe(2);
    for (const { gate, heard, events } of all) {
      expect(gate.state.name).toBe('online');
      expect(heard).toEqual([1, 2]);
      expect(events).toEqual(['first', 'resumed']);
    }
  });

  it('whose session is lost begins a new session in all tabs, with a gap', async () => {
    const all = await threeTabs();
    mock.forget();
    await mock.drop();
    await pass(500);
    await mock.push('room/said', 1);
    await pass();
    for (const { gate, heard, events } of all) {
      expect(gate.clientId).toBe('mock-2');
      expect(heard).toEqual([1]);
      expect(events).toEqual(['first', 'RESUME_UNKNOWN', 'gap null RESUME_UNKNOWN']);
    }
  });

  it('tells each tab how many pushes are missing', async () => {
    const all = await threeTabs();
    await mock.push('room/said', 1);
    await mock.gap(7);
    await mock.push('room/said', 9);
    await mock.gap(null, 'link');
    await mock.push('room/said', 10);
    await pass();
    for (const { gate, heard, events } of all) {
      expect(heard).toEqual([1, 9, 10]);
      expect(events).toEqual(['first', 'gap 7 overrun', 'gap null link']);
      expect(gate.stats.countMismatches).toBe(0);
    }
  });

  it('moves to another tab when its tab is killed, or closes its client', async () => {
    const [first, second, third] = await threeTabs();
    first.host.kill();
    // The browser ends the sockets of a tab that is killed.
    await mock.drop();
    await pass(500);
    expect([second, third].map(({ gate }) => gate.state.name)).toEqual(['online', 'online']);
    expect(second.events).toEqual(['first', 'RESUME_UNKNOWN', 'gap null RESUME_UNKNOWN']);
    await mock.push('room/said', 1);
    await pass();
    second.gate.close();
    await pass(500);
    expect(third.gate.state.name).toBe('online');
    await mock.push('room/said', 2);
    await pass();
    expect([first.heard, second.heard, third.heard]).toEqual([[], [1], [1, 2]]);
  });

  it('ends for all tabs when the gate ends it, and one of them can connect again', async () => {
    const [first, second] = await threeTabs();
    await mock.drop(4001, 'kicked');
    await pass();
    expect(first.gate.state).toEqual({ name: 'ended', code: 4001, reason: 'kicked' });
    expect(second.gate.state).toEqual({ name: 'ended', code: 4001, reason: 'kicked' });
    expect(tabs.left).toBe(0);
    second.gate.connect();
    await pass();
    expect(second.gate.state.name).toBe('online');
  });

  it('ends for all tabs without a token', async () => {
    const all = [openTab({ token: () => null }), openTab({ token: () => null })];
    await pass();
    for (const { gate } of all) expect(gate.state).toMatchObject({ name: 'ended', code: 401 });
  });

  it.each([
    ['4,096 frames', 100, 'x', 43],
    ['4 MiB', 1, 'x'.repeat(600_000), 8],
  ])('ends the session of a tab that does not read for %s; the others go on', async (_limit, burst, body, rounds) => {
    const [first, second, third] = await threeTabs();
    third.host.isFrozen = true;
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < burst; n++) void mock.push('room/said', body);
      await pass(1_000);
    }
    expect([first.heard.length, second.heard.length]).toEqual([burst * rounds, burst * rounds]);
    expect([first.events, second.events]).toEqual([['first'], ['first']]);
    third.host.thaw();
    await pass(60_000);
    expect(third.gate.state.name).toBe('online');
    expect(third.heard.length).toBeLessThan(burst * rounds);
    expect(third.events).toEqual(['first', 'RESUME_UNKNOWN', 'gap null RESUME_UNKNOWN']);
  });

  it('has loads for each tab', async () => {
    let loads = 0;
    mock.on('snapshot', () => 'all');
    await threeTabs({ load: () => void loads++ });
    expect(loads).toBe(3);
  });
});

describe('connectShared', () => {
  it('is connect where tabs have nothing in common', async () => {
    const environment = new FakeEnvironment();
    const gates = [1, 2].map(() =>
      connectShared('wss://gate.test/gate', { environment, WebSocket: mock.WebSocket, tabs: hostTabs({}) }),
    );
    await environment.advance(0);
    expect(gates.map(({ state }) => state.name)).toEqual(['online', 'online']);
    expect(mock.openSockets).toBe(2);
    for (const gate of gates) gate.close();
  });

  it('refuses what cannot be shared', () => {
    const options = { tabs: tabs.open(), codec: {}, WebSocket: mock.WebSocket } as unknown as ShareOptions;
    expect(() => connectShared('wss://gate.test/gate', options)).toThrow('A shared connection takes no codec');
  });
});

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: GateError) => error.code);
}
