import { Controller } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type GateClient, isGateError, whenOnline } from '@nestgate/client';
import {
  type BodyOf,
  call,
  contract,
  entryError,
  message,
  push,
  type PushesOf,
  request,
  stream,
  type,
} from '@nestgate/contract';
import { createTestCluster, type TestCluster } from '@nestgate/testing';
import { ClientSession, GatewayApi, OnTopic, type Session } from '@nestgate/worker';
import { z } from 'zod';
import { Clients } from './client-support.js';

const chat = contract('chat', {
  say: request({
    body: z.object({ room: z.string(), text: z.string().max(10), loud: z.boolean().default(false) }),
    reply: z.object({ delivered: z.number() }),
    errors: ['NOT_MEMBER'],
  }),
  rooms: request({ reply: type<string[]>() }),
  typing: message({ body: z.object({ room: z.string() }) }),
  said: push({ body: z.object({ text: z.string() }) }),
  ask: stream({ body: z.object({ prompt: z.string() }), item: z.string() }),
  confirm: call({ body: type<{ question: string }>(), reply: z.boolean() }),
});
const auth = contract('auth', { login: request({ body: type<{ name: string }>(), reply: type<{ uid: string }>() }) });
type Chat = typeof chat;

/** Compiled, never run: each line below a directive would be an error without it. */
export async function compiles(gate: GateClient<Chat>, both: GateClient<Chat | typeof auth>): Promise<void> {
  // A field with a default may be left out by the client.
  (await gate.request('chat/say', { room: 'x', text: 'x' })).delivered.toFixed();
  await gate.request('chat/say', { room: 'x', text: 'x', loud: true }, { timeoutMs: 1 });
  (await gate.request('chat/rooms')).map(room => room.length);
  gate.send('chat/typing', { room: 'x' });
  gate.on('chat/said', ({ text }) => text.trim());
  for await (const { text } of gate.messages('chat/said')) text.trim();
  for await (const item of gate.stream('chat/ask', { prompt: 'x' })) item.trim();
  gate.handle('chat/confirm', ({ question }) => question === '');
  (await both.request('auth/login', { name: 'x' })).uid.trim();
  both.on('chat/said', ({ text }) => text.trim());

  // @ts-expect-error another payload
  void gate.request('chat/say', { room: 'x', text: 1 });
  // @ts-expect-error a payload without a field that has no default
  void gate.request('chat/say', { text: 'x' });
  // @ts-expect-error no payload
  void gate.request('chat/say');
  // @ts-expect-error an unknown topic
  void gate.request('chat/sya', { room: 'x', text: 'x' });
  // @ts-expect-error a topic of another contract
  void gate.request('auth/login', { name: 'x' });
  // @ts-expect-error a message has no reply
  void gate.request('chat/typing', { room: 'x' });
  // @ts-expect-error a push is not sent by clients
  gate.send('chat/said', { text: 'x' });
  // @ts-expect-error a request is no push
  gate.on('chat/say', () => undefined);
  // @ts-expect-error a field that the push does not have
  gate.on('chat/said', ({ from }) => from);
  // @ts-expect-error a reply of another type
  gate.handle('chat/confirm', () => 'yes');
  // @ts-expect-error a request is no stream
  gate.stream('chat/say', { room: 'x', text: 'x' });
  // @ts-expect-error another reply
  const wrong: string = (await gate.request('chat/say', { room: 'x', text: 'x' })).delivered;
  void wrong;
}

@Controller()
class ChatTopics {
  constructor(private readonly gateway: GatewayApi<PushesOf<Chat>>) {}

  @OnTopic(chat.say)
  async say({ room, text, loud }: BodyOf<Chat['say']>, @ClientSession() session: Session) {
    if (room !== 'lobby') throw entryError(chat.say, 'NOT_MEMBER', 'Join the room first');
    await this.gateway.sendToClient(session.clientId, 'chat/said', { text: loud ? text.toUpperCase() : text });
    return { delivered: 1 };
  }

  @OnTopic(chat.rooms)
  rooms() {
    return ['lobby'];
  }
}

describe('a client with the contract of its handlers', () => {
  const clients = new Clients();
  let cluster: TestCluster;
  let gate: GateClient<Chat>;

  beforeAll(async () => {
    cluster = await createTestCluster({ handlers: { controllers: [ChatTopics] } });
    gate = clients.connect(cluster.gates[0]!.url) as unknown as GateClient<Chat>;
    await whenOnline(gate);
  });
  afterAll(async () => {
    clients.close();
    await cluster.close();
  });

  it('sends what the schema takes, defaults included, and hears what the contract says', async () => {
    const heard: string[] = [];
    gate.on('chat/said', ({ text }) => heard.push(text));
    expect(await gate.request('chat/say', { room: 'lobby', text: 'hi' })).toEqual({ delivered: 1 });
    expect(await gate.request('chat/say', { room: 'lobby', text: 'hi', loud: true })).toEqual({ delivered: 1 });
    expect(heard).toEqual(['hi', 'HI']);
    expect(await gate.request('chat/rooms')).toEqual(['lobby']);
  });

  it('gets the errors of the contract, and what is wrong with a body', async () => {
    const refused = await gate.request('chat/say', { room: 'attic', text: 'hi' }).catch((error: unknown) => error);
    expect(isGateError(refused, 'NOT_MEMBER')).toBe(true);
    const invalid = gate.request('chat/say', { room: 'lobby', text: 'x'.repeat(11) });
    await expect(invalid).rejects.toMatchObject({ code: 'BAD_REQUEST', details: [{ path: 'text' }] });
  });
});
