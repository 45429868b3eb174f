import { connect } from '@nestgate/client';
import { WebSocket } from 'ws';

/** @param {string} host @param {import('../contenders.mjs').Events} events @param {boolean} [resume] @returns {import('../contenders.mjs').Line} */
export function open(host, { online, said }, resume = false) {
  const gate = connect(`ws://${host}`, { WebSocket, resume });
  gate.on('state', ({ name }) => {
    if (name === 'online') online();
  });
  gate.on('room/said', said);
  return { push: count => void gate.send('room/push', count), close: () => gate.close() };
}
