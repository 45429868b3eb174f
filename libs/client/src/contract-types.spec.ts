import { describe, expect, it } from '@jest/globals';
import type { GateClient } from './gate-client.js';
import { MockGate } from './testing/mock-gate.js';

/** The shape of the entries of a contract. */
interface Entry<K extends string, T extends string, Types> {
  readonly kind: K;
  readonly topic: T;
  readonly '~types'?: Types | undefined;
}

interface Chat {
  readonly say: Entry<
    'request',
    'chat/say',
    { body: { text: string }; reply: { delivered: number }; code: 'NOT_MEMBER' }
  >;
  readonly rooms: Entry<'request', 'chat/rooms', { body: undefined; reply: string[]; code: never }>;
  readonly typing: Entry<'message', 'chat/typing', { body: { room: string } }>;
  readonly said: Entry<'push', 'chat/said', { body: { from: string } }>;
  readonly ask: Entry<'stream', 'chat/ask', { body: { prompt: string }; item: string }>;
  readonly confirm: Entry<'call', 'chat/confirm', { body: { question: string }; reply: boolean }>;
}

interface Auth {
  readonly login: Entry<'request', 'auth/login', { body: { name: string }; reply: { uid: string }; code: never }>;
}

/** Compiled, never run: each line below a directive would be an error without it. */
async function compiles(gate: GateClient<Chat>, both: GateClient<Chat | Auth>, any: GateClient): Promise<void> {
  const { delivered } = await gate.request('chat/say', { text: 'x' });
  delivered.toFixed();
  (await gate.request('chat/rooms')).map(room => room.length);
  gate.send('chat/typing', { room: 'x' });
  gate.send('chat/say', { text: 'x' }, { whenOffline: 'fail' });
  gate.on('chat/said', ({ from }) => from.length);
  for await (const { from } of gate.messages('chat/said')) from.trim();
  for await (const item of gate.stream('chat/ask', { prompt: 'x' })) item.trim();
  gate.handle('chat/confirm', ({ question }) => question === '');
  gate.handle('chat/confirm', async () => true);
  gate.on('gap', ({ n }) => n?.toFixed());
  (await both.request('auth/login', { name: 'x' })).uid.trim();
  both.on('chat/said', ({ from }) => from.trim());

  // @ts-expect-error another payload
  void gate.request('chat/say', { text: 1 });
  // @ts-expect-error no payload
  void gate.request('chat/say');
  // @ts-expect-error an unknown topic
  void gate.request('chat/sya', { text: 'x' });
  // @ts-expect-error a message has no reply
  void gate.request('chat/typing', { room: 'x' });
  // @ts-expect-error a push is not sent by the client
  gate.send('chat/said', { from: 'x' });
  // @ts-expect-error another type of reply
  const wrong: string = (await gate.request('chat/say', { text: 'x' })).delivered;
  // @ts-expect-error a request is no push
  gate.on('chat/say', () => undefined);
  // @ts-expect-error a body that the push does not have
  gate.on('chat/said', ({ text }) => text);
  // @ts-expect-error not the item of the stream
  for await (const item of gate.stream('chat/ask', { prompt: 'x' })) item.toFixed();
  // @ts-expect-error not the reply of the call
  gate.handle('chat/confirm', () => 'yes');
  // @ts-expect-error a push is no call
  gate.handle('chat/said', () => true);
  // @ts-expect-error an unknown option
  void gate.request('chat/say', { text: 'x' }, { timeout: 1 });
  // @ts-expect-error an unknown event
  gate.on('disconnect', () => undefined);

  // Without a contract: any topic, and the types that the caller names.
  const { x } = await any.request<{ x: number }>('a/b', 1);
  x.toFixed();
  any.on('a/b', (body: { y: string }) => body.y.trim());
  any.on('state', ({ name }) => name.trim());
  // @ts-expect-error unknown until it is named
  void (await any.request('a/b')).x;
  void wrong;
}

describe('types', () => {
  it('of a contract are checked (socket.io #4813, #5257, #5367: mistyped acks), and of a mock too', async () => {
    expect(compiles).toBeInstanceOf(Function);
    const mock = new MockGate<Chat>();
    mock.on('chat/say', ({ text }) => ({ delivered: text.length }));
    // @ts-expect-error another reply
    mock.on('chat/rooms', () => 1);
    // @ts-expect-error an unknown topic
    mock.on('chat/none', () => 1);
    const gate = mock.connect();
    expect((await gate.request('chat/say', { text: 'abc' })).delivered).toBe(3);
    await mock.push('chat/said', { from: 'ada' });
    // @ts-expect-error another body
    await mock.push('chat/said', { from: 1 });
    mock.close();
  });
});
