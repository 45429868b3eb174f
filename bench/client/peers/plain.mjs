/** A plain WebSocket server with one JSON text for each push. For partysocket, which has no protocol of its own. */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { listen, paced } from './paced.mjs';

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', socket => {
  socket.on('message', (/** @type {Buffer} */ data) => {
    const { push } = JSON.parse(data.toString());
    const stop = paced(push, bodies => {
      for (const said of bodies) socket.send(JSON.stringify({ said }));
    });
    socket.on('close', stop);
  });
});
listen(server, '/');
