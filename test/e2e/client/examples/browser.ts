// example: browser
import { connect } from '@nestgate/client';

const gate = connect('/gate');

gate.on('state', ({ name }) => {
  document.title = name === 'online' ? 'Chat' : `Chat (${name})`;
});
gate.on('chat/said', ({ from, text }: { from: string; text: string }) => {
  document.body.append(`${from}: ${text}\n`);
});

await gate.request('chat/login', { name: 'ada' });
await gate.request('chat/join', { room: 'lobby' });
const { delivered } = await gate.request<{ delivered: number }>('chat/say', { room: 'lobby', text: 'hi' });
// end
export { delivered, gate };
