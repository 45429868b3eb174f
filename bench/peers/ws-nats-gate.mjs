/** A gate by hand: `ws` in front, nats.js behind. `NATS_URL` is where it meets its worker. */
import { createServer } from 'node:http';
import { connect } from '@nats-io/transport-node';
import { WebSocketServer } from 'ws';
import { Groups } from './groups.mjs';
import { announce, portOf } from './peer.mjs';

const nats = await connect({ servers: process.env.NATS_URL });
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
const groups = new Groups();
/** @type {Map<string, import('ws').WebSocket>} */
const clients = new Map();
const inbox = `gate.${process.pid}`;
let lastClient = 0;

// Requests and replies carry the number of their client, a space, and what the client says or gets.
nats.subscribe(inbox, {
  callback: (_error, message) => {
    const text = message.string();
    const space = text.indexOf(' ');
    clients.get(text.slice(0, space))?.send(text.slice(space + 1));
  },
});
nats.subscribe('group.*', {
  callback: (_error, message) => groups.send(message.subject.slice('group.'.length), message.string()),
});

sockets.on('connection', (socket, request) => {
  const client = String(++lastClient);
  clients.set(client, socket);
  socket.on('close', () => {
    clients.delete(client);
    groups.leaveAll(socket);
  });
  if (request.url !== '/fan') {
    socket.on('message', data =>
      nats.publish('work.echo', `${client} ${/** @type {Buffer} */ (data).toString()}`, { reply: inbox }),
    );
    return;
  }
  socket.on('message', data => {
    const text = /** @type {Buffer} */ (data).toString();
    const { topic, body, id } = JSON.parse(text);
    if (topic === 'fan/join') {
      groups.join(body.group, socket);
      socket.send(JSON.stringify({ id, body: { ok: true } }));
    } else {
      nats.publish('work.out', text);
    }
  });
});

await nats.flush();
server.listen(0, '127.0.0.1', () => announce(portOf(server)));
