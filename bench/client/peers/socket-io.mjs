/** The server of socket.io itself, over WebSocket only, with its default heartbeat. */
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { listen, paced } from './paced.mjs';

const server = createServer();
const io = new Server(server, { transports: ['websocket'], serveClient: false });
io.on('connection', socket => {
  socket.on('push', count => {
    const stop = paced(count, bodies => {
      for (const body of bodies) socket.emit('said', body);
    });
    socket.on('disconnect', stop);
  });
});
listen(server, '/');
