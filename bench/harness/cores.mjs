import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** More processes than this make no more load than is needed. */
const MAX_GENERATORS = 4;

/** @returns {number[]} the cores that this process may use, where the system tells */
function allowedCores() {
  try {
    const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
    return list.split(',').flatMap(range => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
  } catch {
    return [];
  }
}

/** Who runs on which core: servers and brokers on one, the load generators each on another. */
export class Cores {
  constructor() {
    const cores = allowedCores();
    const canPin = cores.length > 1 && spawnSync('taskset', ['-V']).status === 0;
    /** The core of all servers; undefined when nothing is pinned. @readonly */
    this.server = canPin ? cores[0] : undefined;
    /** @private @readonly */
    this.others = canPin ? cores.slice(1) : [];
    const free = canPin ? this.others.length : availableParallelism() - 1;
    /** How many generators can run beside each other. @readonly */
    this.generators = Math.max(1, Math.min(MAX_GENERATORS, free));
  }

  /** @param {number} index of the generator */
  ofGenerator(index) {
    return this.others.length > 0 ? this.others[index % this.others.length] : undefined;
  }

  /** Takes this process away from the servers' core. */
  leaveServers() {
    if (this.others.length > 0) spawnSync('taskset', ['-a', '-p', '-c', this.others.join(','), String(process.pid)]);
  }

  /** One sentence about it. */
  describe() {
    if (this.server === undefined)
      return 'Not pinned (taskset or a second core is missing): servers and generator share cores.';
    return `Servers and brokers on core ${this.server}, load generators on ${this.others.slice(0, this.generators).join(', ')}.`;
  }
}
