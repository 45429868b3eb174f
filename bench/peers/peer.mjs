/** What the peers share. */

/** Tells the harness that a peer can be reached. @param {number} port */
export function announce(port) {
  process.stdout.write(`listening on http://localhost:${port}/\n`);
}

/** The port of a server that listens. @param {{ address(): import('node:net').AddressInfo | string | null }} server */
export function portOf(server) {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port');
  return address.port;
}

/**
 * What all clients send.
 * @typedef {object} ClientMessage
 * @property {string} topic
 * @property {{ group: string, data: string, n: number }} body
 * @property {number} [id]
 */

/**
 * A Nest gateway's way to read it: the topic is the event.
 * @param {unknown} data
 */
export function parseMessage(data) {
  /** @type {ClientMessage} */
  const message = JSON.parse(String(data));
  return { event: message.topic, data: message };
}
