import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SpoolFolder } from './spool-folder.js';

describe('SpoolFolder', () => {
  let parent: string;
  let folder: string;
  let refused: string[];

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'nestgate-spool-'));
    folder = join(parent, 'sessions');
    refused = [];
  });
  afterEach(() => {
    jest.restoreAllMocks();
    rmSync(parent, { recursive: true, force: true });
  });

  const create = (owner = 'g1', maxBytes = 10_000): SpoolFolder =>
    new SpoolFolder({ folder, owner, maxBytes, onRefused: why => void refused.push(why) });
  const prepared = (owner?: string, maxBytes?: number): SpoolFolder => {
    const spools = create(owner, maxBytes);
    expect(spools.prepare()).toBe(true);
    return spools;
  };
  const write = (spools: SpoolFolder, writtenAt = Date.now()): void => {
    expect(spools.write({ writtenAt, sessions: [], ended: [] })).toBe(0);
  };
  const only = (): string => join(folder, readdirSync(folder)[0] as string);
  const modeOf = (path: string): number => statSync(path).mode & 0o777;

  it('gives a file to its owner, once, and lets nobody else read it', () => {
    const spools = prepared();
    write(spools);
    expect([modeOf(folder), modeOf(only())]).toEqual([0o700, 0o600]);
    expect(prepared('g2').take()).toEqual([]);
    expect([prepared().take(), prepared().take()]).toMatchObject([[{ owner: 'g1' }], []]);
    expect([readdirSync(folder), refused]).toEqual([[], []]);
  });

  it('is not used when others can get at it, or it is no directory', () => {
    mkdirSync(folder, { mode: 0o750 });
    expect(create().prepare()).toBe(false);
    rmSync(folder, { recursive: true });
    symlinkSync(parent, folder);
    expect(create().prepare()).toBe(false);
    rmSync(folder);
    writeFileSync(folder, '');
    expect(create().prepare()).toBe(false);
    expect(refused).toEqual(['folder', 'folder', 'folder']);
  });

  it.each([
    ['mode', (path: string) => chmodSync(path, 0o640)],
    ['torn', (path: string) => writeFileSync(path, 'x')],
    ['size', (path: string) => writeFileSync(path, Buffer.alloc(10_001))],
    // A link is not followed, whatever it leads to.
    [
      'unreadable',
      (path: string) => {
        rmSync(path);
        symlinkSync('/etc/hostname', path);
      },
    ],
  ])('removes a file that cannot be used: %s', (why, spoil) => {
    const spools = prepared();
    write(spools);
    spoil(only());
    expect([spools.take(), refused, readdirSync(folder)]).toEqual([[], [why], []]);
  });

  it('refuses what is older than any session can be, and takes what seems to come from the future', () => {
    const spools = prepared();
    write(spools, Date.now() - 86_500_000);
    expect([spools.take(), refused]).toEqual([[], ['age']]);
    write(spools, Date.now() + 86_500_000);
    expect(spools.take()).toHaveLength(1);
  });

  it('takes the newest files, and no more than a few', () => {
    const spools = prepared();
    const now = Date.now();
    for (let i = 0; i < 10; i++) {
      const before = new Set(readdirSync(folder));
      write(spools, now - i);
      const name = readdirSync(folder).find(each => !before.has(each)) as string;
      utimesSync(join(folder, name), 1_000 - i, 1_000 - i);
    }
    const times = spools.take().map(({ writtenAt }) => writtenAt);
    expect(times).toHaveLength(8);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    expect([refused, readdirSync(folder)]).toEqual([['count', 'count'], []]);
  });

  it('does not read what was not finished, and removes it when its writer is dead', () => {
    const spools = prepared();
    writeFileSync(join(folder, 'g1.aa.unfinished'), 'x', { mode: 0o600 });
    writeFileSync(join(folder, 'g1.bb.unfinished'), 'x', { mode: 0o600 });
    utimesSync(join(folder, 'g1.bb.unfinished'), 1_000, 1_000);
    writeFileSync(join(folder, 'notes'), 'x');
    expect(spools.take()).toEqual([]);
    expect(readdirSync(folder).toSorted()).toEqual(['g1.aa.unfinished', 'notes']);
  });

  it('leaves nothing behind when a file cannot be written', () => {
    const spools = prepared();
    expect(() => spools.write({ writtenAt: NaN, sessions: [], ended: [undefined as never] })).toThrow();
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
    expect(() => write(spools)).toThrow('ENOENT');
    expect([spools.take(), refused]).toEqual([[], ['unreadable']]);
  });
});
