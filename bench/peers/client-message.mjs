/**
 * What all clients send.
 * @typedef {object} ClientMessage
 * @property {string} topic
 * @property {{ group: string, data: string }} body
 * @property {number} [id]
 */

/**
 * A gateway's way to read it: the topic is the event.
 * @param {unknown} data
 */
export function parseMessage(data) {
  /** @type {ClientMessage} */
  const message = JSON.parse(String(data));
  return { event: message.topic, data: message };
}
