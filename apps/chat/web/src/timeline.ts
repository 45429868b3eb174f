const LONGEST_TIMELINE = 500;
const GROUP_WITHIN_MS = 5 * 60_000;

interface Stamped {
  /** Grows by one per entry, so that a view can tell what it has already drawn. */
  readonly id: number;
  readonly at: number;
}

export interface Said extends Stamped {
  readonly kind: 'said';
  readonly from: string;
  readonly text: string;
}

export interface Whisper extends Stamped {
  readonly kind: 'whisper';
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

/** An event, not a message of a user. */
export interface Notice extends Stamped {
  readonly kind: 'notice';
  readonly who: string | null;
  readonly text: string;
}

export type Entry = Said | Whisper | Notice;
export type NewEntry = Omit<Said, 'id'> | Omit<Whisper, 'id'> | Omit<Notice, 'id'>;

/** What has happened in one room, bounded: a tab left open for a week must not eat the machine. */
export class Timeline {
  private readonly list: Entry[] = [];
  private lastId = 0;

  get entries(): readonly Entry[] {
    return this.list;
  }

  get hasMessages(): boolean {
    return this.list.some(entry => entry.kind !== 'notice');
  }

  add(entry: NewEntry): void {
    this.lastId += 1;
    this.list.push({ ...entry, id: this.lastId });
    if (this.list.length > LONGEST_TIMELINE) this.list.shift();
  }
}

/** Whether `entry` reads as the next line of `previous` and needs no name and avatar of its own. */
export function continues(previous: Entry | undefined, entry: Entry): boolean {
  if (previous === undefined || previous.kind === 'notice' || entry.kind === 'notice') return false;
  if (previous.kind !== entry.kind || previous.from !== entry.from) return false;
  if (previous.kind === 'whisper' && entry.kind === 'whisper' && previous.to !== entry.to) return false;
  return entry.at - previous.at < GROUP_WITHIN_MS && sameDay(previous.at, entry.at);
}

export function sameDay(a: number, b: number): boolean {
  return new Date(a).toDateString() === new Date(b).toDateString();
}
