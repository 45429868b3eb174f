import { connect, type GateClient, isGateError } from '@nestgate/client';
import type { Chat } from './contract.js';

// example: typed
export async function chatIn(gate: GateClient<Chat>, room: string, signal: AbortSignal) {
  gate.on('chat/said', ({ from, text }) => console.log(`${from}: ${text}`));
  gate.handle('ui/confirm', async ({ question }) => question.length < 80);
  try {
    const { delivered } = await gate.request('chat/say', { room, text: 'hi' }, { signal });
    for await (const word of gate.stream('ai/ask', { prompt: 'a poem' }, { signal })) console.log(word);
    return delivered;
  } catch (error) {
    if (isGateError(error, 'NOT_MEMBER')) return 0;
    throw error;
  }
}
// end

export const dial = (url: string): GateClient<Chat> => connect<Chat>(url);
