/**
 * What is measured. `start` starts all processes of it on a stage.
 * @typedef {object} Contender
 * @property {string} name
 * @property {string} about
 * @property {import('../load/dialects.mjs').DialectName} dialect
 * @property {readonly Family[]} families the kinds of load that make sense for it
 * @property {string} [variantOf] the contender that this one is with another setting; who names that one gets both
 * @property {readonly string[]} [preloads] modules that each of its servers loads first, from this directory
 * @property {(stage: import('./stage.mjs').Stage, gates: number) => Promise<Endpoints>} start
 */

/** @typedef {'echo' | 'rate' | 'fanout' | 'stream' | 'sizes' | 'storm' | 'idle'} Family */

/**
 * Where clients connect to.
 * @typedef {object} Endpoints
 * @property {readonly number[]} ports
 * @property {number} [senderPort] where the client that broadcasts connects to, when not to the same
 */

/** @type {readonly Family[]} */
const ALL = ['echo', 'rate', 'fanout', 'stream', 'sizes', 'storm', 'idle'];
/** @type {readonly Family[]} */
const BASIC = ['echo', 'rate', 'fanout', 'idle'];

/** What a production app sets for a load test: no limits of its own. */
const NO_LIMITS = {
  NODE_ENV: 'production',
  PORT: '0',
  LOG_LEVEL: 'error',
  NESTGATE_MSG_RATE: '0',
  NESTGATE_MAX_PER_IP: '0',
  // What it costs has a contender of its own.
  NESTGATE_RESUME: 'off',
};

/** The reference that all ratios are to. */
export const REFERENCE = 'ws';
/** What all ratios are to besides, where they were measured. */
export const COMPARED = ['nest', 'socket.io'];
/** What links between processes are compared with. */
export const ONE_PROCESS = 'nestgate-memory';
/** What a soak is about unless told otherwise. */
export const SOAKED = 'nestgate-tcp';

/** @param {string} script @returns {Contender['start']} */
const peer = script => async stage => ({ ports: [await stage.node(`bench/peers/${script}`)] });

/** @param {string} gate @param {string} worker @returns {Contender['start']} */
const peersOnNats = (gate, worker) => async stage => {
  const env = { NATS_URL: await stage.nats() };
  await stage.node(`bench/peers/${worker}`, env, /worker started/);
  return { ports: [await stage.node(`bench/peers/${gate}`, env)] };
};

/**
 * Gates and one worker, joined by a link.
 * @param {import('./stage.mjs').Stage} stage
 * @param {readonly string[]} gateLinks one URL for each gate
 * @param {string} workerLink
 */
async function cluster(stage, gateLinks, workerLink) {
  const ports = await Promise.all(
    gateLinks.map(link => stage.node('apps/gate/dist/main.js', { ...NO_LIMITS, NESTGATE_LINK: link })),
  );
  const env = { ...NO_LIMITS, NESTGATE_LINK: workerLink, PORT: undefined };
  await stage.node('apps/worker/dist/main.js', env, /nestgate worker: started/);
  return { ports };
}

/** @type {readonly Contender[]} */
const BASE = [
  {
    name: REFERENCE,
    about: 'ws alone, one process: the reference R',
    dialect: 'json',
    families: ALL,
    start: peer('ws.mjs'),
  },
  {
    name: 'nestgate-memory',
    about: 'nestgate, gate and handlers in one process',
    dialect: 'gate',
    families: ALL,
    start: async stage => ({ ports: [await stage.node('apps/chat/dist/main.js', NO_LIMITS)] }),
  },
  {
    name: 'nestgate-memory-resume',
    about: 'nestgate-memory with sessions that can be resumed (gate.json.2, acknowledgements included)',
    dialect: 'gate.2',
    families: ['echo', 'fanout', 'idle'],
    variantOf: ONE_PROCESS,
    start: async stage => ({
      ports: [await stage.node('apps/chat/dist/main.js', { ...NO_LIMITS, NESTGATE_RESUME: 'on' })],
    }),
  },
  {
    name: 'nestgate-tcp',
    about: 'nestgate, gate and worker, TCP link',
    dialect: 'gate',
    families: ALL,
    start: async (stage, gates) => {
      const links = await Promise.all(Array.from({ length: gates }, () => stage.freePort()));
      const urls = links.map(port => `tcp://127.0.0.1:${port}`);
      return cluster(stage, urls, `tcp://${links.map(port => `127.0.0.1:${port}`).join(',')}`);
    },
  },
  {
    name: 'nestgate-nats',
    about: 'nestgate, gate and worker, NATS link',
    dialect: 'gate',
    families: ALL,
    start: async (stage, gates) => {
      const url = await stage.nats();
      return cluster(
        stage,
        Array.from({ length: gates }, () => url),
        url,
      );
    },
  },
  {
    name: 'ws-nats',
    about: 'ws and nats.js by hand, gate and worker',
    dialect: 'json',
    families: BASIC,
    start: peersOnNats('ws-nats-gate.mjs', 'ws-nats-worker.mjs'),
  },
  {
    name: 'nest',
    about: 'Nest @WebSocketGateway (platform-ws), one process',
    dialect: 'nest',
    families: ALL,
    start: peer('nest-gateway.mjs'),
  },
  {
    name: 'nest-nats',
    about: 'Nest @WebSocketGateway and Nest NATS transporter, gate and worker',
    dialect: 'nest',
    families: BASIC,
    start: peersOnNats('nest-nats-gateway.mjs', 'nest-nats-worker.mjs'),
  },
  {
    name: 'socket.io',
    about: 'socket.io over websocket, one process',
    dialect: 'socket.io',
    families: ALL,
    start: peer('socket-io.mjs'),
  },
  {
    name: 'socket.io-redis',
    about: 'socket.io with the redis adapter: members in one process, the sender in another',
    dialect: 'socket.io',
    families: ['fanout'],
    start: async stage => {
      const env = { REDIS_URL: await stage.redis() };
      const port = await stage.node('bench/peers/socket-io.mjs', env);
      return { ports: [port], senderPort: await stage.node('bench/peers/socket-io.mjs', env) };
    },
  },
];

/** A gate that admits as many new connections as come. @param {Contender} contender @returns {Contender} */
const withoutRate = contender => ({
  ...contender,
  name: `${contender.name}-raised`,
  about: `${contender.name} with maxConnectionRate raised to 100,000`,
  families: ['storm'],
  variantOf: contender.name,
  preloads: ['raised-connection-rate.mjs'],
});

/** All of them; a variant follows the one that it is of. @type {readonly Contender[]} */
export const CONTENDERS = BASE.flatMap(contender =>
  contender.dialect === 'gate' ? [contender, withoutRate(contender)] : [contender],
);
