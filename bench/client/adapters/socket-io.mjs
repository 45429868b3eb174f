import { io } from 'socket.io-client';

/** @param {string} host @param {import('../contenders.mjs').Events} events @returns {import('../contenders.mjs').Line} */
export function open(host, { online, said }) {
  const socket = io(`ws://${host}`, { transports: ['websocket'], forceNew: true });
  socket.on('connect', online);
  socket.on('said', said);
  return { push: count => void socket.emit('push', count), close: () => void socket.close() };
}
