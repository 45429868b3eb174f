/**
 * One shape of load.
 * @typedef {object} Workload
 * @property {string} name
 * @property {import('./contenders.mjs').Family} family
 * @property {string} about
 * @property {number} clients
 * @property {number} inFlight requests of each client, or broadcasts, that are on their way at a time
 * @property {number} [rate] requests per second of all clients, for an open loop
 * @property {boolean} [isQuick] whether a quick run has time for it with all peers, not only with nestgate and the reference
 */

/** @type {readonly Workload[]} */
export const WORKLOADS = [
  {
    name: 'echo 100x1',
    family: 'echo',
    clients: 100,
    inFlight: 1,
    isQuick: true,
    about: '100 clients, 1 request in flight each',
  },
  {
    name: 'echo 100x16',
    family: 'echo',
    clients: 100,
    inFlight: 16,
    isQuick: true,
    about: '100 clients, 16 requests in flight each',
  },
  { name: 'echo 1000x1', family: 'echo', clients: 1_000, inFlight: 1, about: '1000 clients, 1 request in flight each' },
  { name: 'rate 5000/s', family: 'rate', clients: 100, inFlight: 0, rate: 5_000, about: '5000 requests/s, open loop' },
  {
    name: 'fanout 1000x1',
    family: 'fanout',
    clients: 1_000,
    inFlight: 1,
    about: '1000 members, 1 broadcast in flight',
  },
  {
    name: 'fanout 1000x4',
    family: 'fanout',
    clients: 1_000,
    inFlight: 4,
    isQuick: true,
    about: '1000 members, 4 broadcasts in flight',
  },
  { name: 'idle', family: 'idle', clients: 10_000, inFlight: 0, about: 'connections that do nothing' },
];

/** Connections that a quick run holds idle. */
export const QUICK_IDLE_CLIENTS = 2_000;
