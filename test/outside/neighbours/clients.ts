/** What the clients of the other endpoints see: real ones, on the port that is given. Prints one line of JSON. */
import { once } from 'node:events';
import { createClient } from 'graphql-ws';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';

const [port = '', which = ''] = process.argv.slice(2);
const base = `127.0.0.1:${port}`;
const results: Record<string, unknown> = {};

async function graphql(query: string): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`http://${base}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  return response.json();
}

if (which.includes('io')) {
  for (const transports of [['websocket'], ['polling', 'websocket']]) {
    const socket = io(`http://${base}`, { transports, reconnection: false });
    const [answer] = (await new Promise<unknown[]>((done, fail) => {
      socket.on('echo', (...args: unknown[]) => done(args));
      socket.on('connect_error', fail);
      socket.on('connect', () => socket.emit('echo', 1));
    })) as [unknown];
    results[transports.join()] = answer;
    // What began by polling goes on by WebSocket, through the same server.
    while (socket.io.engine.transport.name !== 'websocket') await once(socket.io.engine as never, 'upgrade');
    socket.disconnect();
  }
}
if (which.includes('ws')) {
  const socket = new WebSocket(`ws://${base}/plain`);
  await once(socket, 'open');
  socket.send(JSON.stringify({ event: 'echo', data: 2 }));
  const [data] = (await once(socket, 'message')) as [Buffer];
  results['ws'] = JSON.parse(data.toString());
  socket.terminate();
}
if (which.includes('graphql')) {
  results['query'] = await graphql('{ hello }');
  const client = createClient({ url: `ws://${base}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 });
  const gate = new WebSocket(`ws://${base}/gate`);
  await once(gate, 'message');
  const subscription = client.iterate({ query: 'subscription { said }' });
  const next = subscription.next();
  // A subscription has no sign that it has begun: it is said again until it is seen.
  const again = setInterval(() => gate.send('{"topic":"say","body":"by a topic"}'), 50);
  results['subscription'] = (await next).value;
  clearInterval(again);
  const pushed = once(gate, 'message');
  results['mutation'] = await graphql('mutation { say(text: "by a mutation") }');
  results['push'] = JSON.parse(String((await pushed)[0]));
  gate.terminate();
  await client.dispose();
}
console.log(JSON.stringify(results));
process.exit(0);
