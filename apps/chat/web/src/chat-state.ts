import type { GateState } from '@nestgate/client';
import { type NewEntry, Timeline } from './timeline.js';

/** Whispers with people we share no room with have a place of their own; no real room has an empty name. */
export const WHISPERS = '';

const FRESH_MS = 10_000;
const FRAME_MS = 16;

/** The client's states and one more: connected again, but not yet signed in and back in our rooms. */
export type Connection = GateState | { readonly name: 'restoring' };

/** A message that the server has not answered yet. */
export interface PendingMessage {
  readonly text: string;
}

export interface Room {
  readonly name: string;
  readonly timeline: Timeline;
  /** False until the server has confirmed the join: pushes may come before its reply does. */
  joined: boolean;
  members: readonly string[];
  /** When `members` was last confirmed by the server; 0 is never. */
  membersAt: number;
  /** How many joins have been announced; a list asked for before the latest one is out of date. */
  joinsSeen: number;
  unread: number;
  /** In the order in which they were written. */
  readonly pending: Set<PendingMessage>;
}

/** Everything the page knows. Views read it and draw; only the session changes it. */
export class ChatState {
  me: string | null = null;
  connection: Connection = { name: 'idle' };
  active: string | null = null;
  directory: ReadonlyMap<string, number> = new Map();
  readonly rooms = new Map<string, Room>();
  private readonly watchers: (() => void)[] = [];
  private drawing: number | null = null;

  get online(): boolean {
    return this.connection.name === 'online';
  }

  /** Messages that wait for a connection. While there is one, the few that are in flight are none. */
  get queued(): number {
    if (this.online) return 0;
    return [...this.rooms.values()].reduce((sum, room) => sum + room.pending.size, 0);
  }

  get activeRoom(): Room | null {
    return this.active === null ? null : (this.rooms.get(this.active) ?? null);
  }

  get joinedRooms(): Room[] {
    return [...this.rooms.values()].filter(room => room.joined);
  }

  get unread(): number {
    return this.joinedRooms.reduce((sum, room) => sum + room.unread, 0);
  }

  watch(watcher: () => void): void {
    this.watchers.push(watcher);
  }

  /** Many changes make one drawing. Not an animation frame: a hidden tab gets none, and its title counts too. */
  changed(): void {
    if (this.drawing === null) this.drawing = window.setTimeout(() => this.draw(), FRAME_MS);
  }

  openRoom(name: string): Room {
    let room = this.rooms.get(name);
    if (room === undefined) {
      room = {
        name,
        timeline: new Timeline(),
        joined: false,
        members: [],
        membersAt: 0,
        joinsSeen: 0,
        unread: 0,
        pending: new Set(),
      };
      this.rooms.set(name, room);
    }
    return room;
  }

  closeRoom(name: string): void {
    this.rooms.delete(name);
    if (this.active === name) this.activate(null);
    else this.changed();
  }

  /** Drawn at once: what is typed next, however soon, must not end up in the room before. */
  activate(name: string | null): void {
    this.active = name;
    const room = this.activeRoom;
    if (room !== null) room.unread = 0;
    this.draw();
  }

  setConnection(connection: Connection): void {
    this.connection = connection;
    this.changed();
  }

  post(room: Room, entry: NewEntry): void {
    room.timeline.add(entry);
    const mine = entry.kind !== 'notice' && entry.from === this.me;
    const seen = room.name === this.active && document.visibilityState === 'visible';
    if (entry.kind !== 'notice' && !mine && !seen) room.unread += 1;
    this.changed();
  }

  notice(room: Room, who: string | null, text: string): void {
    this.post(room, { kind: 'notice', who, text, at: Date.now() });
  }

  /** `chat/joined` brought a name; true when it is news. */
  memberJoined(room: Room, name: string): boolean {
    room.joinsSeen += 1;
    if (room.members.includes(name)) return false;
    room.members = [...room.members, name].sort(byName);
    this.changed();
    return true;
  }

  /** The wire says who joins but not who leaves: that only shows as a name missing from the next list. */
  setMembers(room: Room, names: readonly string[]): void {
    const fresh = Date.now() - room.membersAt < FRESH_MS;
    if (fresh) {
      for (const name of room.members) {
        if (!names.includes(name) && name !== this.me) this.notice(room, name, 'left');
      }
    }
    room.members = [...names].sort(byName);
    room.membersAt = Date.now();
    this.changed();
  }

  reset(): void {
    this.me = null;
    this.active = null;
    this.directory = new Map();
    this.rooms.clear();
    this.changed();
  }

  private draw(): void {
    if (this.drawing !== null) window.clearTimeout(this.drawing);
    this.drawing = null;
    for (const watcher of this.watchers) watcher();
  }
}

const collator = new Intl.Collator(undefined, { sensitivity: 'base', numeric: true });
const byName = (a: string, b: string): number => collator.compare(a, b);
