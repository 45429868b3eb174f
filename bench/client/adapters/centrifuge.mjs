import { Centrifuge } from 'centrifuge';
import { WebSocket } from 'ws';

/** @param {string} host @param {import('../contenders.mjs').Events} events @returns {import('../contenders.mjs').Line} */
export function open(host, { online, said }) {
  const centrifuge = new Centrifuge(`ws://${host}`, { websocket: WebSocket });
  centrifuge.on('connected', online);
  centrifuge.on('publication', ({ data }) => said(data));
  centrifuge.connect();
  return { push: count => void centrifuge.send({ push: count }), close: () => centrifuge.disconnect() };
}
