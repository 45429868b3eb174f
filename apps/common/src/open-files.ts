import { readFileSync } from 'node:fs';

/** Node needs about 300 open files while it loads the modules of an app, and its clients come on top. */
const MIN_OPEN_FILES = 400;

/** Ends the process with one line where it may open too few files to start. Does nothing where the system does not tell. */
export function assertOpenFiles(): void {
  const limit = openFilesLimit();
  if (limit >= MIN_OPEN_FILES) return;
  process.stderr.write(`nestgate: ${limit} open files are too few, ${MIN_OPEN_FILES} is the least: raise ulimit -n\n`);
  process.exit(1);
}

function openFilesLimit(): number {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}
