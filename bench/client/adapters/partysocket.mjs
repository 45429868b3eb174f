import PartySocket from 'partysocket/ws';
import { WebSocket } from 'ws';

/** @param {string} host @param {import('../contenders.mjs').Events} events @returns {import('../contenders.mjs').Line} */
export function open(host, { online, said }) {
  const socket = new PartySocket(`ws://${host}`, [], { WebSocket });
  socket.addEventListener('open', online);
  socket.addEventListener('message', ({ data }) => said(JSON.parse(data).said));
  return { push: count => socket.send(JSON.stringify({ push: count })), close: () => socket.close() };
}
