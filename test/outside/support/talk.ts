import { expect } from '@jest/globals';
import { FakeClient, waitUntil } from '@nestgate/testing';

/** Talks to the fixture's apps as its clients do: every part of the pipeline has its say. `httpPort` serves the route. */
export async function expectChat(url: string, httpPort: number): Promise<void> {
  const ada = await FakeClient.connect(`${url}?token=ada`);
  const guest = await FakeClient.connect(url);
  const forged = await FakeClient.connect(`${url}?token=forged`);
  try {
    // The handler of connections. The worker of a split app may still be on its way: the gate waits for it.
    expect(await forged.closed).toEqual({ code: 1008, reason: 'The token is forged' });
    // The interceptor adds the topic.
    expect(await ada.request('chat/join', { room: 'lobby' })).toEqual({ members: 1, topic: 'chat/join' });
    // The guard.
    expect((await guest.exchange('chat/join', { room: 'lobby' })).error).toMatchObject({ code: 'FORBIDDEN' });
    // The filter.
    expect((await ada.exchange('chat/join', { room: 'full' })).error).toEqual({
      code: 'ROOM_FULL',
      message: 'No seat is left',
    });
    // The pipe makes a DTO, strips what it does not know, and refuses what does not fit.
    await ada.request('chat/say', { room: 'lobby', text: 'hi', extra: 1 });
    expect((await ada.push('chat/said')).body).toEqual({ from: 'ada', text: 'hi', isDto: true });
    expect((await ada.exchange('chat/say', { room: 'lobby', text: 'x'.repeat(21) })).error).toMatchObject({
      code: 'BAD_REQUEST',
      details: ['text must be shorter than or equal to 20 characters'],
    });
    await waitUntil('presence', async () => String(await guest.request('chat/online')) === 'ada');
    const response = await fetch(`http://127.0.0.1:${httpPort}/rooms/lobby`);
    expect(await response.json()).toEqual({ members: 1 });
  } finally {
    for (const client of [ada, guest, forged]) client.socket.terminate();
  }
}
