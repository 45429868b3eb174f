/** socket.io, websocket only. With `REDIS_URL` several processes are one through the redis adapter. */
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { announce, portOf } from './peer.mjs';

const { REDIS_URL } = process.env;
const server = createServer();
const io = new Server(server, {
  transports: ['websocket'],
  serveClient: false,
  adapter: REDIS_URL ? createAdapter(new Redis(REDIS_URL), new Redis(REDIS_URL)) : undefined,
});

io.on('connection', socket => {
  socket.on('echo/echo', (body, acknowledge) => acknowledge(body));
  socket.on('fan/join', async (group, acknowledge) => {
    await socket.join(group);
    acknowledge(true);
  });
  socket.on('stream/count', (id, n) => {
    for (let item = 1; item <= n; item++) socket.emit('item', { id, item });
    socket.emit('end', { id, end: true });
  });
  socket.on('fan/out', (group, data) => void io.to(group).emit('fan/msg', data));
});

server.listen(0, '127.0.0.1', () => announce(portOf(server)));
