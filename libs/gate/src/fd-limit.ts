import { readFileSync } from 'node:fs';

/** Of the files that the process may open, so many may be clients: links, storages and logs need some too. */
const SHARE = 0.8;

/**
 * How many clients the limit of open files leaves room for; 0 (no limit) where the system does not tell. Node raises its
 * soft limit to the hard one when it starts, so what is read here is what counts.
 */
export function connectionsForFdLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? 0 : Math.floor(Number(limit) * SHARE);
  } catch {
    return 0;
  }
}
