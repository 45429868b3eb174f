import { afterEach, describe, expect, it } from '@jest/globals';
import { GateError } from '../errors.js';
import type { GateClient } from '../gate-client.js';
import { whenOnline } from '../connection/when-online.js';
import { FakeEnvironment } from './fake-environment.js';
import { MockGate, type MockGateOptions } from './mock-gate.js';

let mock: MockGate;
let environment: FakeEnvironment;

async function start(options?: MockGateOptions): Promise<GateClient> {
  mock = new MockGate(options);
  environment = new FakeEnvironment();
  const gate = mock.connect({ environment });
  await whenOnline(gate);
  return gate;
}

/** Lets the client come back. */
const back = (): Promise<void> => environment.advance(500);

afterEach(() => {
  mock.close();
  expect(environment.open).toEqual({ timers: 0, watchers: 0 });
});

describe('MockGate, for tests of what talks to a gate (nestjs #1368)', () => {
  it('answers requests, takes messages, and yields streams', async () => {
    const gate = await start();
    mock
      .on('chat/say', ({ text }: { text: string }) => ({ delivered: text.length }))
      .on('chat/fail', () => {
        throw new GateError('NOT_MEMBER', 'no', { room: 1 });
      })
      .on('ai/ask', function* () {
        yield 'a';
        yield 'b';
      });
    expect(await gate.request('chat/say', { text: 'hi' })).toEqual({ delivered: 2 });
    await expect(gate.request('chat/fail')).rejects.toMatchObject({ code: 'NOT_MEMBER', details: { room: 1 } });
    await expect(gate.request('chat/none')).rejects.toMatchObject({ code: 'NO_HANDLER' });
    const items: unknown[] = [];
    for await (const item of gate.stream('ai/ask')) items.push(item);
    expect(items).toEqual(['a', 'b']);
    gate.send('chat/typing', 1);
    await environment.advance(0);
    expect(mock.received.at(-1)).toEqual({ topic: 'chat/typing', body: 1 });
  });

  it('pushes and calls', async () => {
    const gate = await start();
    const heard: unknown[] = [];
    gate.on('chat/said', body => heard.push(body));
    await mock.push('chat/said', 1);
    expect(heard).toEqual([1]);
    gate.handle('ui/confirm', (body: number) => body + 1);
    expect(await mock.call('ui/confirm', 1)).toBe(2);
    await expect(mock.call('ui/none')).rejects.toMatchObject({ code: 'NO_HANDLER' });
  });

  it('loses the connection, and keeps what it pushes meanwhile', async () => {
    const gate = await start();
    const heard: unknown[] = [];
    gate.on('a/b', body => heard.push(body));
    const events: unknown[] = [];
    gate.on('resumed', event => events.push(event));
    await mock.push('a/b', 1);
    await mock.drop();
    expect(gate.session).toBe('away');
    await mock.push('a/b', 2);
    gate.send('m/m');
    await back();
    expect(heard).toEqual([1, 2]);
    expect(events).toEqual([{ awayMs: 0, replayed: 1, resent: 0 }]);
    expect(mock.received).toHaveLength(1);
  });

  it('tells gaps, forgets sessions, refuses, and moves', async () => {
    const gate = await start();
    const events: unknown[] = [];
    gate.on('gap', ({ n, why }) => events.push([n, why]));
    await mock.gap(3);
    await mock.drop();
    await back();
    mock.forget();
    await mock.drop();
    await back();
    expect(events).toEqual([
      [3, 'overrun'],
      [null, 'RESUME_UNKNOWN'],
    ]);
    await mock.move();
    await environment.advance(0);
    expect(gate.stats).toMatchObject({ resumes: 2, countMismatches: 0 });
    expect(mock.openSockets).toBe(1);
    mock.refuse(1013);
    await mock.drop();
    gate.wake();
    await environment.advance(0);
    expect(gate.state).toMatchObject({ name: 'waiting', code: 1013 });
    mock.accept();
    await environment.advance(30_000);
    expect(gate.state.name).toBe('online');
  });

  it('may have no sessions that survive', async () => {
    const gate = await start({ resume: false });
    await mock.drop();
    expect(gate.session).toBe('lost');
    await back();
    expect(gate.clientId).toBe('mock-2');
  });
});
