/**
 * The reference: `ws` alone. /echo sends back what it gets; /json parses it and writes it again, as the others do; /fan has groups
 * and sends to each member.
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { announce, portOf } from './peer.mjs';
import { Groups } from './groups.mjs';

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
const groups = new Groups();

sockets.on('connection', (socket, request) => {
  if (request.url === '/echo') {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    return;
  }
  if (request.url === '/json') {
    socket.on('message', data => {
      const { body, id } = JSON.parse(/** @type {Buffer} */ (data).toString());
      socket.send(JSON.stringify({ id, body }));
    });
    return;
  }
  socket.on('message', data => {
    const { topic, body, id } = JSON.parse(/** @type {Buffer} */ (data).toString());
    if (topic === 'fan/join') {
      groups.join(body.group, socket);
      socket.send(JSON.stringify({ id, body: { ok: true } }));
    } else if (topic === 'stream/count') {
      for (let item = 1; item <= body.n; item++) socket.send(JSON.stringify({ id, item }));
      socket.send(JSON.stringify({ id, end: true }));
    } else {
      groups.send(body.group, JSON.stringify({ topic: 'fan/msg', body: body.data }));
    }
  });
  socket.on('close', () => groups.leaveAll(socket));
});

server.listen(0, '127.0.0.1', () => announce(portOf(server)));
