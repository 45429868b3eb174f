import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type GateClient, hostEnvironment, type Environment } from '@nestgate/client';
import { FakeEnvironment, MockGate } from '@nestgate/client/testing';
import { createTestCluster, type TestCluster, waitUntil } from '@nestgate/testing';
import { examplesOf, fencesOf, read, tableOf } from '../support/docs-support.js';
import { ClientTopics, inState } from './client-support.js';
import { echo, NODE } from './examples/frame.js';
import { room } from './examples/load.js';
import { greet } from './examples/node.js';
import { type Line, say } from './examples/optimistic.js';
import { signedIn } from './examples/auth.js';
import { inboxOf } from './examples/share.js';
import { conversation } from './examples/testing.js';
import { chatIn } from './examples/typed.js';
import type { Chat } from './examples/contract.js';

const PAGE = read('docs/client.md');
const EXAMPLES = 'test/e2e/client/examples';

describe('docs/client.md', () => {
  it('has the examples that are run here, word by word', () => {
    const sources = readdirSync(EXAMPLES).map(file => read(`${EXAMPLES}/${file}`));
    const examples = sources.flatMap(source => Array.from(examplesOf(source).values()));
    const fences = fencesOf(PAGE).filter(({ language }) => language === 'ts');
    expect(fences.map(({ code }) => code).toSorted()).toEqual(examples.toSorted());
  });

  it('has every option, counter and event', () => {
    const options = read('libs/client/src/options.ts');
    const names = (head: string): string[] =>
      [
        ...(new RegExp(`interface ${head} \\{([\\s\\S]*?)^\\}`, 'm').exec(options)?.[1] ?? '').matchAll(
          /^ {2}(?:readonly )?(\w+)\??:/gm,
        ),
      ].map(([, name = '']) => name);
    const listed = (head: string): string[] =>
      tableOf(PAGE, head).flatMap(([name = '']) => name.replaceAll('`', '').split(', '));
    expect(listed('option').toSorted()).toEqual(names('ConnectOptions').toSorted());
    expect(listed('counter').toSorted()).toEqual(names('ClientStats').toSorted());
    expect(listed('event').toSorted()).toEqual(names('ClientEvents').toSorted());
  });
});

describe('the examples', () => {
  let cluster: TestCluster;
  const mocks: MockGate[] = [];

  beforeAll(async () => {
    cluster = await createTestCluster({ handlers: { controllers: [ClientTopics] } });
  });

  afterAll(async () => {
    for (const mock of mocks) mock.close();
    await cluster.close();
  });

  function mocked(): { mock: MockGate; environment: FakeEnvironment } {
    const mock = new MockGate();
    mocks.push(mock);
    return { mock, environment: new FakeEnvironment() };
  }

  it('in a browser', async () => {
    const { mock } = mocked();
    mock
      .on('chat/login', () => null)
      .on('chat/join', () => null)
      .on('chat/say', () => ({ delivered: 1 }));
    const body: string[] = [];
    const page = { title: '', body: { append: (text: string) => body.push(text) } };
    Object.assign(globalThis, { document: page, location: { href: 'http://app.test/' }, WebSocket: mock.WebSocket });
    try {
      const { delivered, gate } = await import('./examples/browser.js');
      expect(delivered).toBe(1);
      await mock.push('chat/said', { from: 'ada', text: 'hi' });
      expect([page.title, body]).toEqual(['Chat', ['ada: hi\n']]);
      gate.close();
      expect(page.title).toBe('Chat (idle)');
    } finally {
      for (const name of ['document', 'location', 'WebSocket']) Reflect.deleteProperty(globalThis, name);
    }
  });

  it('in Node, and with bytes', async () => {
    const { url } = cluster.gates[0]!;
    expect(await greet(url, 'ada')).toEqual({ uid: 'ada' });
    expect(await echo(url, Uint8Array.of(0, 255, 7), NODE)).toEqual(Uint8Array.of(0, 255, 7));
  });

  it('with a contract', async () => {
    const { mock } = mocked();
    mock
      .on('chat/say', () => ({ delivered: 2 }))
      .on('ai/ask', function* () {
        yield 'roses';
      });
    const gate = mock.connect() as unknown as GateClient<Chat>;
    const log = jest.spyOn(console, 'log').mockImplementation(() => undefined);
    try {
      expect(await chatIn(gate, 'lobby', new AbortController().signal)).toBe(2);
      await mock.push('chat/said', { from: 'ada', text: 'hi' });
      expect(log.mock.calls).toEqual([['roses'], ['ada: hi']]);
      expect(await mock.call('ui/confirm', { question: 'sure?' })).toBe(true);
    } finally {
      log.mockRestore();
    }
  });

  it('load', async () => {
    const { mock, environment } = mocked();
    mock.on('room/join', () => null).on('room/lines', () => ['a']);
    const shown: (readonly string[])[] = [];
    const gate = room('ws://mock.test', 'lobby', lines => shown.push(lines), {
      environment,
      WebSocket: mock.WebSocket,
    });
    await environment.advance(0);
    await mock.push('room/said', 'b');
    await mock.push('room/said', 'c');
    expect(shown.at(-1)).toEqual(['a', 'b', 'c']);
    gate.close();
  });

  it('one connection for all tabs', async () => {
    const { mock } = mocked();
    const gate = inboxOf('ada', { WebSocket: mock.WebSocket });
    await inState(gate, 'online');
    gate.close();
    expect(gate.state.name).toBe('idle');
  });

  it('auth with refresh', async () => {
    const answers = [{ status: 200, json: async () => ({ token: 't1' }) }, { status: 401 }];
    const fetch = jest.spyOn(globalThis, 'fetch').mockImplementation(async () => answers.shift() as Response);
    try {
      const { mock, environment } = mocked();
      let logins = 0;
      const gate = signedIn('ws://mock.test', () => logins++, { environment, WebSocket: mock.WebSocket });
      await environment.advance(0);
      expect(gate.state.name).toBe('online');
      await mock.drop(1008, 'auth expired');
      await environment.advance(500);
      expect([gate.state.name, logins]).toEqual(['ended', 1]);
    } finally {
      fetch.mockRestore();
    }
  });

  it('optimistic send with retry', async () => {
    const { mock } = mocked();
    const gate = mock.connect({ resume: false, environment: quick() });
    const lines: Line['status'][] = [];
    const show = ({ status }: Line): unknown => lines.push(status);
    let times = 0;
    mock.on('chat/say', async () => {
      // The reply to the first never arrives.
      if (++times === 1) await mock.drop();
      return { delivered: 1 };
    });
    await inState(gate, 'online');
    await say(gate, 'k1', 'hi', show);
    mock.on('chat/say', () => {
      throw Object.assign(new Error('no'), { name: 'GateError', code: 'FORBIDDEN' });
    });
    await say(gate, 'k2', 'hi', show);
    expect(lines).toEqual(['sending', 'sent', 'sending', 'failed']);
    expect(times).toBe(2);
  });

  it('a front end in tests', async () => {
    expect(await conversation()).toEqual({
      reply: { delivered: 2 },
      heard: [
        { from: 'ada', text: 'hello' },
        { from: 'ada', text: 'are you there?' },
      ],
    });
  });

  it('React', async () => {
    const effects: (() => unknown)[] = [];
    const bodies: unknown[][] = [];
    jest.unstable_mockModule(
      'react',
      () => ({
        useEffect: (effect: () => () => void) => effects.push(effect()),
        useState: (initial: unknown[]) => {
          bodies.push(initial);
          return [initial, (update: (before: unknown[]) => unknown[]) => bodies.push(update(bodies.at(-1)!))];
        },
        useSyncExternalStore: (subscribe: (listener: () => void) => () => void, snapshot: () => unknown) => {
          effects.push(subscribe(() => undefined));
          return snapshot();
        },
      }),
      { virtual: true },
    );
    const { useGateState, usePushes } = await import('./examples/react.js');
    const { mock } = mocked();
    const gate = mock.connect();
    await waitUntil('the client to be online', () => gate.state.name === 'online');
    expect(useGateState(gate)).toBe(gate.state);
    usePushes(gate, 'chat/said', 2);
    for (const body of [1, 2, 3]) await mock.push('chat/said', body);
    expect(bodies.at(-1)).toEqual([2, 3]);
    for (const end of effects) end();
    await mock.push('chat/said', 4);
    expect(bodies.at(-1)).toEqual([2, 3]);
  });
});

/** The clock of the host, with pauses that a test need not wait for. */
function quick(): Environment {
  return { ...hostEnvironment(), random: () => 0 };
}
