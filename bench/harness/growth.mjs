import { readFileSync } from 'node:fs';
import { notesOf } from './result.mjs';

/** Open files of a process that are not connections. */
const OTHER_FILES = 500;
/** Gates take as many connections as this share of the files that they may open. */
const GATE_SHARE = 0.8;
/** Clients that send while all others are idle. */
const ACTIVE = 100;
const SESSION_GATES = 4;
const GROUP_CLIENTS = 1_000;
const GROUP_MEMBERS = 10;

/**
 * What a cost is measured over.
 * @typedef {object} Series
 * @property {string} name
 * @property {string} unit
 * @property {string} about
 * @property {readonly number[]} points
 * @property {readonly number[]} [quickPoints] a quick run has no time for it when there are none
 * @property {(point: number) => Setting} at
 */

/**
 * The load at one point.
 * @typedef {object} Setting
 * @property {number} gates
 * @property {number} clients without the one that broadcasts
 * @property {import('../load/echo-workload.mjs').EchoPlan} [echo]
 * @property {import('../load/fanout-workload.mjs').FanoutPlan} [fanout]
 */

/**
 * The cost at one point.
 * @typedef {object} GrowthResult
 * @property {string} contender
 * @property {string} series
 * @property {number} point
 * @property {number} [microseconds] of server CPU for a message; what servers use without messages does not count
 * @property {number} [idleShare] CPU that servers use without messages, in cores
 * @property {readonly string[]} notes
 */

/** @type {readonly Series[]} */
export const SERIES = [
  {
    name: 'members',
    unit: 'members of a group',
    about: 'CPU for each delivery of a broadcast, 1 in flight',
    points: [10, 100, 1_000, 10_000],
    quickPoints: [10, 1_000],
    at: members => ({ gates: 1, clients: members, fanout: { inFlight: 1, groups: 1, perGroup: members } }),
  },
  {
    name: 'gates, echo',
    unit: 'gates',
    about: 'CPU for each echo: 400 clients on all gates, 4 requests in flight each, one worker',
    points: [1, 2, 4],
    quickPoints: [1, 2],
    at: gates => ({ gates, clients: 400, echo: { inFlight: 4, rate: 0 } }),
  },
  {
    name: 'gates, fan-out',
    unit: 'gates',
    about: 'CPU for each delivery to 1000 members on all gates, 4 broadcasts in flight',
    points: [1, 2, 4],
    at: gates => ({ gates, clients: 1_000, fanout: { inFlight: 4, groups: 1, perGroup: 1_000 } }),
  },
  {
    name: 'sessions',
    unit: `sessions on ${SESSION_GATES} gates`,
    about: `CPU for each echo of ${ACTIVE} clients, 4 requests in flight each, while all others are idle`,
    points: [1_000, 10_000, 50_000],
    quickPoints: [500, 4_000],
    at: sessions => ({ gates: SESSION_GATES, clients: sessions, echo: { inFlight: 4, rate: 0, active: ACTIVE } }),
  },
  {
    name: 'groups',
    unit: 'groups',
    about: `CPU for each delivery to groups of ${GROUP_MEMBERS}, in turn, 1 broadcast in flight; ${GROUP_CLIENTS} clients`,
    points: [1, 100, 10_000],
    quickPoints: [1, 500],
    at: groups => ({
      gates: 1,
      clients: GROUP_CLIENTS,
      fanout: { inFlight: 1, groups, perGroup: GROUP_MEMBERS },
    }),
  },
];

/** How many files a process may open. */
function fileLimit() {
  try {
    const limit = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return limit === undefined ? Infinity : Number(limit);
  } catch {
    return 1_024;
  }
}

/**
 * As many clients as the gates of a setting may hold.
 * @param {Setting} setting
 */
function within({ gates, clients, ...rest }) {
  const most = Math.floor(gates * Math.min(fileLimit() * GATE_SHARE, fileLimit() - OTHER_FILES));
  return { ...rest, gates, clients: Math.min(clients, most), isCapped: clients > most };
}

/**
 * Measures one point of a series.
 * @param {import('./bench.mjs').Bench} bench
 * @param {import('./contenders.mjs').Contender} contender
 * @param {Series} series
 * @param {number} point
 * @param {import('./bench.mjs').LoadTimes} times
 * @returns {Promise<GrowthResult>}
 */
export async function measurePoint(bench, contender, series, point, times) {
  const { gates, clients, isCapped, echo, fanout } = within(series.at(point));
  const processes = fanout ? 1 : Math.ceil(clients / (fileLimit() - OTHER_FILES));
  const load = await bench.withContender(contender, gates, (stage, endpoints) => {
    const { dialect } = contender;
    const count = fanout ? clients + 1 : clients;
    const crowd = /** @type {const} */ ({ ...endpoints, dialect, purpose: fanout ? 'fan' : 'echo', first: 0, count });
    return bench.withClients({ crowd, echo, fanout }, processes, driver =>
      bench.load(stage, driver, { ...times, withIdle: true }),
    );
  });
  const messages = load.reports.reduce((sum, report) => sum + report.messages, 0);
  return {
    contender: contender.name,
    series: series.name,
    point: isCapped ? clients : point,
    microseconds: messages > 0 ? ((load.serverBusyMs - load.idleBusyMs) / messages) * 1_000 : undefined,
    idleShare: load.idleBusyMs / times.measureMs,
    notes: [
      ...(isCapped ? [`no more than ${clients}: a process may open ${fileLimit()} files`] : []),
      ...notesOf(load, false),
    ],
  };
}
