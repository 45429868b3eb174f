import { NUMBER_MARK } from './frame-template.mjs';

/** Items of a stream. */
const STREAM_ITEMS = 100;
/** Bytes of an echoed body. */
const ECHO_BYTES = 64;
/** Bytes of a broadcast. */
const FAN_BYTES = 128;

/** What texts of a wanted size are made of: plain words, and now and then what JSON has to escape. No digits, and no number of ours. */
const SENTENCES = [
  'Are you coming to the harbour tonight? ',
  'She said "bring a coat", so I did. ',
  'The last train leaves before midnight, and nobody wants to walk home in the rain again.\n',
  'Fine with me. ',
  'I have read the whole thread twice and still do not see why the second version should be any faster than the first one. ',
  'Look at this: C:\\photos\\boat, it is the red one on the left.\n',
];

/**
 * How a server is spoken to. Texts have {@link NUMBER_MARK} where the number goes that the answer repeats.
 * @typedef {object} Dialect
 * @property {Readonly<Record<'echo' | 'json' | 'fan', string>>} paths
 * @property {'none' | 'frame' | 'socket.io'} greeting what comes before a client may send
 * @property {string} [subprotocol]
 * @property {string} [opening] sent as soon as the connection is open
 * @property {number} [ackEvery] frames of the server, without its own ones, that are acknowledged together
 * @property {string} echo
 * @property {string} stream answered with so many items, each with the number, and an end
 * @property {(user: string) => string} [login] answered when the client is logged in; absent where a server knows no users
 * @property {(group: string) => string} join answered when the client is in the group
 * @property {(group: string) => string} broadcast not answered; members get its data
 */

/** @typedef {'gate' | 'gate.2' | 'json' | 'nest' | 'socket.io'} DialectName */

/** @param {string} topic @param {string} body in JSON */
const request = (topic, body) => `{"topic":"${topic}","body":${body},"id":${NUMBER_MARK}}`;

/** @param {string} path */
const everywhere = path => ({ echo: path, json: path, fan: path });

/**
 * The content of a JSON string, as it is written between its quotes.
 * @param {number} bytes of it
 */
export function jsonTextOf(bytes) {
  let written = '';
  for (let i = 0; ; i++) {
    for (const word of SENTENCES[i % SENTENCES.length].split(/(?<= )/)) {
      const next = JSON.stringify(word).slice(1, -1);
      if (written.length + next.length > bytes) return written.padEnd(bytes, '.');
      written += next;
    }
  }
}

/**
 * How to speak to a server.
 * @param {DialectName} name
 * @param {number} [bytes] of the text in each message; fillers of the usual size without it
 * @returns {Dialect}
 */
export function dialectOf(name, bytes) {
  const body = bytes === undefined ? 'x'.repeat(ECHO_BYTES) : jsonTextOf(bytes);
  const head = `~${NUMBER_MARK}`;
  const data = head + (bytes === undefined ? 'x'.repeat(FAN_BYTES - head.length) : jsonTextOf(bytes - head.length));
  if (name === 'socket.io') {
    return {
      paths: everywhere('/socket.io/?EIO=4&transport=websocket'),
      greeting: 'socket.io',
      // An event with an acknowledgement: what socket.io has for a request and its reply.
      echo: `42${NUMBER_MARK}["echo/echo","${body}"]`,
      stream: `42["stream/count",${NUMBER_MARK},${STREAM_ITEMS}]`,
      join: group => `42${NUMBER_MARK}["fan/join","${group}"]`,
      broadcast: group => `42["fan/out","${group}","${data}"]`,
    };
  }
  /** What nestgate speaks, and all peers that let us choose. */
  const json = {
    echo: request('echo/echo', `"${body}"`),
    stream: `{"topic":"stream/count","body":{"n":${STREAM_ITEMS}},"id":${NUMBER_MARK},"stream":true}`,
    join: (/** @type {string} */ group) => request('fan/join', `{"group":"${group}"}`),
    broadcast: (/** @type {string} */ group) => `{"topic":"fan/out","body":{"group":"${group}","data":"${data}"}}`,
  };
  if (name === 'gate' || name === 'gate.2') {
    const login = (/** @type {string} */ user) => request('chat/login', `{"name":"${user}"}`);
    const gate = { ...json, login, paths: everywhere('/gate'), greeting: /** @type {const} */ ('frame') };
    if (name === 'gate') return gate;
    // A session that can be resumed: the client speaks first, and acknowledges.
    const opening = '{"topic":"$gate/open","body":{"v":2,"keep":true}}';
    return { ...gate, subprotocol: 'gate.json.2', opening, ackEvery: 64 };
  }
  const paths = name === 'nest' ? everywhere('/') : { echo: '/echo', json: '/json', fan: '/fan' };
  return { ...json, paths, greeting: 'none' };
}
