import { NUMBER_MARK } from './frame-template.mjs';

/** Bytes of an echoed body. */
const ECHO_BYTES = 64;
/** Bytes of a broadcast. */
const FAN_BYTES = 128;

/**
 * How a server is spoken to. Texts have {@link NUMBER_MARK} where the number goes that the answer repeats.
 * @typedef {object} Dialect
 * @property {string} echoPath
 * @property {string} fanPath
 * @property {'none' | 'frame' | 'socket.io'} greeting what comes before a client may send
 * @property {string} echo
 * @property {(group: string) => string} join answered when the client is in the group
 * @property {(group: string) => string} broadcast not answered; members get its data
 */

const echoBody = 'x'.repeat(ECHO_BYTES);
const fanData = `~${NUMBER_MARK}${'x'.repeat(FAN_BYTES - NUMBER_MARK.length - 1)}`;

/** @param {string} topic @param {string} body in JSON */
const request = (topic, body) => `{"topic":"${topic}","body":${body},"id":${NUMBER_MARK}}`;

/** What nestgate speaks, and all peers that let us choose. */
const json = {
  echo: request('echo/echo', `"${echoBody}"`),
  join: (/** @type {string} */ group) => request('fan/join', `{"group":"${group}"}`),
  broadcast: (/** @type {string} */ group) => `{"topic":"fan/out","body":{"group":"${group}","data":"${fanData}"}}`,
};

/** @type {Readonly<Record<'gate' | 'json' | 'nest' | 'socket.io', Dialect>>} */
export const dialects = {
  gate: { ...json, echoPath: '/gate', fanPath: '/gate', greeting: 'frame' },
  json: { ...json, echoPath: '/echo', fanPath: '/fan', greeting: 'none' },
  nest: { ...json, echoPath: '/', fanPath: '/', greeting: 'none' },
  'socket.io': {
    echoPath: '/socket.io/?EIO=4&transport=websocket',
    fanPath: '/socket.io/?EIO=4&transport=websocket',
    greeting: 'socket.io',
    // An event with an acknowledgement: what socket.io has for a request and its reply.
    echo: `42${NUMBER_MARK}["echo/echo","${echoBody}"]`,
    join: group => `42${NUMBER_MARK}["fan/join","${group}"]`,
    broadcast: group => `42["fan/out","${group}","${fanData}"]`,
  },
};

/** @typedef {keyof typeof dialects} DialectName */
