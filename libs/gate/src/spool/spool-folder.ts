import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  type Stats,
  unlinkSync,
  writevSync,
} from 'node:fs';
import { join } from 'node:path';
import { decodeSpool, encodeSpool, type Spool, SpoolError, type SpoolFault } from './spool-file.js';

const SUFFIX = '.sessions';
const UNFINISHED = '.unfinished';
/** Files of one gate that are read at a start: the newest ones. There are several when it was killed while it started. */
const MAX_FILES = 8;
/** A file that was not finished for so long is of a process that has died, in milliseconds. */
const DEAD_MS = 60_000;
/** No session is kept for longer than this: the largest `keepMs`. */
const MAX_AGE_MS = 86_400_000;
/** Parts in one call of the operating system. */
const MAX_PARTS = 512;
const OTHERS = 0o077;

/** Why a folder or a file is not used. */
export type SpoolRefusal = SpoolFault | 'folder' | 'mode' | 'size' | 'age' | 'count' | 'unreadable';

/** What a folder needs to know. */
export interface SpoolFolderOptions {
  readonly folder: string;
  /** Whose files are read and written. */
  readonly owner: string;
  readonly maxBytes: number;
  /** Something is not used. `what` names it for the log. */
  readonly onRefused: (why: SpoolRefusal, what: string) => void;
}

/**
 * The folder in which a gate keeps its sessions while it does not run. A process that can read a file can resume its sessions: the folder must be
 * for this user alone (0700), and files are written with 0600. A file is there whole or not at all, and belongs to the process that
 * has removed its name: it is read after that.
 *
 * All calls are synchronous. They run at the end of a drain, where nothing may be queued for a session after it has been written, and
 * before the first client is accepted.
 */
export class SpoolFolder {
  constructor(private readonly options: SpoolFolderOptions) {}

  /** Makes the folder, if need be. False when it cannot be used. */
  prepare(): boolean {
    const { folder } = this.options;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const stats = lstatSync(folder);
      if (stats.isDirectory() && isPrivate(stats)) return true;
      this.options.onRefused('folder', `${folder} must be a directory of this user with mode 0700`);
    } catch (error) {
      this.options.onRefused('folder', (error as Error).message);
    }
    return false;
  }

  /** Writes a file; returns how many sessions it has. @throws what the file system throws. Then there is no file. */
  write(spool: Omit<Spool, 'owner'>): number {
    const { folder, owner, maxBytes } = this.options;
    const { parts, written } = encodeSpool({ ...spool, owner }, maxBytes);
    const name = join(folder, `${owner}.${randomBytes(8).toString('hex')}`);
    const file = openSync(name + UNFINISHED, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
    try {
      try {
        writeAll(file, parts);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(name + UNFINISHED, name + SUFFIX);
    } catch (error) {
      remove(name + UNFINISHED);
      throw error;
    }
    return written;
  }

  /** Takes the files of this gate out of the folder; the newest comes first. What cannot be used is removed too. */
  take(): Spool[] {
    const { folder, owner } = this.options;
    const spools: Spool[] = [];
    const names = this.names().filter(name => isOf(owner, name));
    for (const name of names.filter(each => each.endsWith(UNFINISHED))) {
      const stats = this.look(name);
      if (stats && Date.now() - stats.mtimeMs > DEAD_MS) remove(join(folder, name));
    }
    const files = names
      .filter(name => name.endsWith(SUFFIX))
      .map(name => ({ name, mtimeMs: this.look(name)?.mtimeMs ?? 0 }))
      .sort((a, b) => b.mtimeMs - a.mtimeMs);
    for (const [at, { name }] of files.entries()) {
      const spool = at < MAX_FILES ? this.takeOne(name) : this.refuse('count', name);
      if (spool) spools.push(spool);
    }
    return spools;
  }

  private names(): string[] {
    const { folder, onRefused } = this.options;
    try {
      return readdirSync(folder);
    } catch (error) {
      onRefused('unreadable', (error as Error).message);
      return [];
    }
  }

  private takeOne(name: string): Spool | undefined {
    const { folder, owner, maxBytes } = this.options;
    const path = join(folder, name);
    let file: number | undefined;
    try {
      file = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
      const stats = fstatSync(file);
      if (!stats.isFile() || !isPrivate(stats)) return this.refuse('mode', name);
      if (stats.size > maxBytes) return this.refuse('size', name);
      // Of two processes that look at the same time one removes it.
      unlinkSync(path);
      const spool = decodeSpool(readFileSync(file), owner);
      if (Date.now() - spool.writtenAt > MAX_AGE_MS) return this.refuse('age', name);
      return spool;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      return this.refuse(error instanceof SpoolError ? error.fault : 'unreadable', name);
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }

  private refuse(why: SpoolRefusal, name: string): undefined {
    const { folder, onRefused } = this.options;
    remove(join(folder, name));
    onRefused(why, `${join(folder, name)} is not used (${why}), and is removed`);
  }

  private look(name: string): Stats | undefined {
    return lstatSync(join(this.options.folder, name), { throwIfNoEntry: false });
  }
}

/** Ids of nodes have no dots. */
function isOf(owner: string, name: string): boolean {
  const [first, , kind, ...rest] = name.split('.');
  return first === owner && rest.length === 0 && (kind === SUFFIX.slice(1) || kind === UNFINISHED.slice(1));
}

/** Where there are no users, as on Windows, the rights of the folder are the operator's to set. */
function isPrivate({ mode, uid }: Stats): boolean {
  const own = process.getuid?.();
  return own === undefined || (uid === own && (mode & OTHERS) === 0);
}

function writeAll(file: number, parts: readonly Uint8Array[]): void {
  for (let at = 0; at < parts.length; at += MAX_PARTS) {
    let rest = parts.slice(at, at + MAX_PARTS).filter(({ length }) => length > 0);
    while (rest.length > 0) {
      let written = writevSync(file, rest);
      // A disk that is nearly full takes a part of it.
      while (rest[0] && written >= rest[0].length) written -= (rest.shift() as Uint8Array).length;
      if (rest[0]) rest = [rest[0].subarray(written), ...rest.slice(1)];
    }
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone already, or cannot be removed: then it is refused again at the next start.
  }
}
