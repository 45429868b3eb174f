/**
 * One shape of load.
 * @typedef {object} Workload
 * @property {string} name
 * @property {import('./contenders.mjs').Family} family
 * @property {Shape} shape what the clients do
 * @property {string} about
 * @property {number} clients
 * @property {number} inFlight requests of each client, or broadcasts, that are on their way at a time
 * @property {number} [rate] requests per second of all clients, for an open loop
 * @property {number} [bytes] of the text in each message, which all servers parse and write again
 * @property {Quick} quick
 */

/** @typedef {'echo' | 'fanout' | 'idle' | 'storm' | 'stream'} Shape */

/**
 * Whether a quick run has time for a workload: with all contenders, with nestgate and the reference only, or only when `--only`
 * names its family, with all contenders then.
 * @typedef {'all' | 'main' | 'named'} Quick
 */

const KIB = 1024;
/** The largest one is a text that fits, with its envelope, into the 65,535 bytes that a gate reads by default. */
const SIZES = [64, KIB, 4 * KIB, 16 * KIB, 60 * KIB];
/** A fan-out has no more than about so many bytes on their way, so that the machine has memory for it. */
const MAX_FLYING_BYTES = 32 * KIB * KIB;
const SIZED_IN_FLIGHT = { echo: 4, fanout: 2 };

/** @param {number} bytes */
const sizeText = bytes => (bytes < KIB ? `${bytes} B` : `${bytes / KIB} KiB`);

/** @param {number} bytes @returns {Workload} */
function sizedEcho(bytes) {
  const inFlight = SIZED_IN_FLIGHT.echo;
  return {
    name: `echo ${sizeText(bytes)}`,
    family: 'sizes',
    shape: 'echo',
    clients: 100,
    inFlight,
    bytes,
    about: `100 clients, ${inFlight} requests in flight each, a text of ${sizeText(bytes)} in JSON`,
    quick: 'named',
  };
}

/** @param {number} bytes @returns {Workload} */
function sizedFanout(bytes) {
  const inFlight = SIZED_IN_FLIGHT.fanout;
  const clients = Math.min(1_000, Math.floor(MAX_FLYING_BYTES / inFlight / bytes / 50) * 50);
  return {
    name: `fanout ${sizeText(bytes)}`,
    family: 'sizes',
    shape: 'fanout',
    clients,
    inFlight,
    bytes,
    about: `${clients} members, ${inFlight} broadcasts in flight, a text of ${sizeText(bytes)} in JSON`,
    quick: 'named',
  };
}

/** @param {number} rate @param {Quick} quick @returns {Workload} */
const paced = (rate, quick) => ({
  name: `rate ${rate}/s`,
  family: 'rate',
  shape: 'echo',
  clients: 100,
  inFlight: 0,
  rate,
  about: `${rate} requests/s, open loop`,
  quick,
});

/** @type {readonly Workload[]} */
export const WORKLOADS = [
  {
    name: 'echo 100x1',
    family: 'echo',
    shape: 'echo',
    clients: 100,
    inFlight: 1,
    about: '100 clients, 1 request in flight each',
    quick: 'all',
  },
  {
    name: 'echo 100x16',
    family: 'echo',
    shape: 'echo',
    clients: 100,
    inFlight: 16,
    about: '100 clients, 16 requests in flight each',
    quick: 'all',
  },
  {
    name: 'echo 1000x1',
    family: 'echo',
    shape: 'echo',
    clients: 1_000,
    inFlight: 1,
    about: '1000 clients, 1 request in flight each',
    quick: 'main',
  },
  paced(500, 'named'),
  paced(5_000, 'main'),
  paced(20_000, 'named'),
  {
    name: 'fanout 1000x1',
    family: 'fanout',
    shape: 'fanout',
    clients: 1_000,
    inFlight: 1,
    about: '1000 members, 1 broadcast in flight',
    quick: 'main',
  },
  {
    name: 'fanout 1000x4',
    family: 'fanout',
    shape: 'fanout',
    clients: 1_000,
    inFlight: 4,
    about: '1000 members, 4 broadcasts in flight',
    quick: 'all',
  },
  {
    name: 'stream 100',
    family: 'stream',
    shape: 'stream',
    clients: 100,
    inFlight: 1,
    about: '100 clients, each reads streams of 100 items one after another; latency is that of the first item',
    quick: 'named',
  },
  {
    name: 'stream 1000',
    family: 'stream',
    shape: 'stream',
    clients: 1_000,
    inFlight: 1,
    about: '1000 clients, each reads streams of 100 items one after another; latency is that of the first item',
    quick: 'named',
  },
  ...SIZES.map(sizedEcho),
  ...SIZES.map(sizedFanout),
  {
    name: 'storm',
    family: 'storm',
    shape: 'storm',
    clients: 5_000,
    inFlight: 0,
    about: 'all clients (5000 in a full run) are cut at once and come back',
    quick: 'named',
  },
  {
    name: 'idle',
    family: 'idle',
    shape: 'idle',
    clients: 10_000,
    inFlight: 0,
    about: 'connections that do nothing',
    quick: 'main',
  },
];

/** Connections that a quick run holds idle, and those that it cuts. */
export const QUICK_CLIENTS = { idle: 2_000, storm: 1_000 };
