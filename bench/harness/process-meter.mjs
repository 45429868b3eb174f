import { readdirSync, readFileSync } from 'node:fs';

const BYTES_PER_KB = 1024;

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // It has ended, or this is not Linux.
    return '';
  }
}

/** @param {string} path */
function list(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Whether this system tells what each thread has cost. */
export function hasProc() {
  return read('/proc/self/schedstat') !== '';
}

/**
 * The processes and all that descend from them.
 * @param {readonly number[]} pids
 * @returns {number[]}
 */
function withDescendants(pids) {
  return pids.flatMap(pid => {
    const children = list(`/proc/${pid}/task`)
      .flatMap(task => read(`/proc/${pid}/task/${task}/children`).split(' '))
      .filter(Boolean)
      .map(Number);
    return [pid, ...withDescendants(children)];
  });
}

/**
 * What processes and their children have used so far, in milliseconds: on a CPU, and ready but waiting for one.
 * @param {readonly number[]} pids
 */
export function cpuTimes(pids) {
  let busyMs = 0;
  let waitMs = 0;
  for (const pid of withDescendants(pids)) {
    for (const task of list(`/proc/${pid}/task`)) {
      const [busy, wait] = read(`/proc/${pid}/task/${task}/schedstat`).split(' ');
      busyMs += Number(busy || 0) / 1e6;
      waitMs += Number(wait || 0) / 1e6;
    }
  }
  return { busyMs, waitMs };
}

/**
 * Resident memory of processes and their children, in bytes.
 * @param {readonly number[]} pids
 */
export function residentBytes(pids) {
  let kilobytes = 0;
  for (const pid of withDescendants(pids)) {
    const exact = /^Rss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`));
    const rough = exact ?? /^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`));
    kilobytes += Number(rough?.[1] ?? 0);
  }
  return kilobytes * BYTES_PER_KB;
}
