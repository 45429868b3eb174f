/**
 * The part of SignalR's JSON hub protocol that its client needs here, without negotiation: the handshake, pings every 15 s as the hub of
 * ASP.NET sends them, and one invocation for each push.
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { listen, paced } from './paced.mjs';

/** Ends each message. */
const SEPARATOR = '\u001e';
const INVOCATION = 1;
const PING = 6;
const PING_MS = 15_000;

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', socket => {
  /** @param {object} message */
  const send = message => socket.send(JSON.stringify(message) + SEPARATOR);
  const pings = setInterval(() => send({ type: PING }), PING_MS);
  /** @type {() => void} */
  let stop = () => undefined;
  socket.on('close', () => {
    clearInterval(pings);
    stop();
  });
  socket.on('message', (/** @type {Buffer} */ data) => {
    for (const text of data.toString().split(SEPARATOR).filter(Boolean)) {
      const message = JSON.parse(text);
      if (message.protocol === 'json') send({});
      else if (message.type === INVOCATION && message.target === 'push') {
        stop = paced(message.arguments[0], bodies => {
          for (const said of bodies) send({ type: INVOCATION, target: 'said', arguments: [said] });
        });
      }
    }
  });
});
listen(server, '/');
