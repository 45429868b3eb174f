/** Holds idle WebSocket clients of one gate: `node crowd.mjs PORT COUNT`. Prints `ready` when all are connected. */
import { once } from 'node:events';
import { connect } from 'node:net';

const [port, count] = process.argv.slice(2).map(Number);
const UPGRADE = [
  'GET /gate HTTP/1.1',
  `Host: 127.0.0.1:${port}`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: gate.json',
  '\r\n',
].join('\r\n');
const PING = 9;
/** An empty pong, masked with zeros. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
const AT_ONCE = 50;

/** One client that answers pings. @returns {Promise<void>} */
async function open() {
  const socket = connect(port, '127.0.0.1');
  socket.write(UPGRADE);
  const [first] = await once(socket, 'data');
  if (!first.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(first.toString('latin1'));
  socket.on('data', data => {
    if ((data[0] & 15) === PING) socket.write(PONG);
  });
  socket.on('close', () => {
    throw new Error('A client was closed');
  });
}

for (let left = count; left > 0; left -= AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, left) }, open));
}
console.log('ready');
