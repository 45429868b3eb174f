/**
 * The part of the JSON protocol of Centrifugo that its client needs here: connect, ping, and publications on a channel that the server
 * has subscribed the client to. As Centrifugo does with its defaults, it pings every 25 s and joins up to 4 queued messages in a frame.
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { listen, paced } from './paced.mjs';

const PING_SECONDS = 25;
const MOST_IN_A_FRAME = 4;
const CHANNEL = 'room';

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', socket => {
  /** @param {readonly object[]} replies */
  const send = replies => socket.send(replies.map(reply => JSON.stringify(reply)).join('\n'));
  const pings = setInterval(() => send([{}]), PING_SECONDS * 1_000);
  /** @type {() => void} */
  let stop = () => undefined;
  socket.on('close', () => {
    clearInterval(pings);
    stop();
  });
  socket.on('message', (/** @type {Buffer} */ data) => {
    for (const line of data.toString().split('\n')) {
      const { id, connect, send: message } = JSON.parse(line);
      if (connect) {
        const subs = { [CHANNEL]: {} };
        send([{ id, connect: { client: 'c1', version: '6.0.0', ping: PING_SECONDS, pong: true, subs } }]);
      } else if (message) {
        stop = paced(message.data.push, bodies => {
          for (let i = 0; i < bodies.length; i += MOST_IN_A_FRAME) {
            const some = bodies.slice(i, i + MOST_IN_A_FRAME);
            send(some.map(said => ({ push: { channel: CHANNEL, pub: { data: said } } })));
          }
        });
      }
    }
  });
});
listen(server, '/');
